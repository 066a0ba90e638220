// npm @signpdf with its P12 signer (RSA only, node-forge). argv: JSON {pdf, p12, passphrase, warmUp, count}; a line asks for a round.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { plainAddPlaceholder } from '@signpdf/placeholder-plain';
import { P12Signer } from '@signpdf/signer-p12';
import { SignPdf } from '@signpdf/signpdf';

const given = JSON.parse(process.argv[2]);
const pdf = readFileSync(given.pdf);
const p12 = readFileSync(given.p12);
const facts = { reason: 'benchmark', contactInfo: 'benchmark', name: 'benchmark', location: 'benchmark', signatureLength: 4096 };

async function sign() {
  const open = plainAddPlaceholder({ pdfBuffer: pdf, ...facts });
  return new SignPdf().sign(open, new P12Signer(p12, { passphrase: given.passphrase }));
}

for (let i = 0; i < given.warmUp; i += 1) await sign();
for await (const line of createInterface({ input: process.stdin })) {
  if (line !== 'round') break;
  const before = process.cpuUsage();
  const began = performance.now();
  for (let i = 0; i < given.count; i += 1) await sign();
  const { user, system } = process.cpuUsage(before);
  console.log(JSON.stringify({ cpu: (user + system) / 1000 / given.count, wall: (performance.now() - began) / given.count }));
}
