// npm oidc-provider, set up to do what ours does: ES256, PKCE always, opaque tokens, rotated refresh tokens, state outside
// the process (Valkey). argv: JSON {port, valkey, clients, account, key}. Whoever comes to log in is logged in and consents.
import { createServer } from 'node:http';
import { Redis } from 'ioredis';
import { Provider } from 'oidc-provider';

const given = JSON.parse(process.argv[2]);
const valkey = new Redis(given.valkey);
const SPENT_ONCE = new Set(['AuthorizationCode', 'RefreshToken']);
const OF_A_GRANT = new Set(['AccessToken', 'AuthorizationCode', 'RefreshToken']);

class InValkey {
  constructor(model) {
    this.model = model;
  }

  key(id) {
    return `${this.model}:${id}`;
  }

  async upsert(id, payload, seconds) {
    const key = this.key(id);
    const batch = valkey.multi();
    if (SPENT_ONCE.has(this.model)) {
      batch.hset(key, { payload: JSON.stringify(payload) });
      batch.expire(key, seconds);
    } else if (seconds) {
      batch.set(key, JSON.stringify(payload), 'EX', seconds);
    } else {
      batch.set(key, JSON.stringify(payload));
    }
    if (OF_A_GRANT.has(this.model) && payload.grantId) {
      batch.sadd(`grant:${payload.grantId}`, key);
      batch.expire(`grant:${payload.grantId}`, 14 * 24 * 3600);
    }
    if (payload.uid) {
      batch.set(`uid:${payload.uid}`, id, 'EX', seconds || 3600);
    }
    await batch.exec();
  }

  async find(id) {
    if (!SPENT_ONCE.has(this.model)) {
      const text = await valkey.get(this.key(id));
      return text ? JSON.parse(text) : undefined;
    }
    const { payload, consumed } = await valkey.hgetall(this.key(id));
    return payload ? { ...JSON.parse(payload), ...(consumed && { consumed: Number(consumed) }) } : undefined;
  }

  async findByUid(uid) {
    return this.find(await valkey.get(`uid:${uid}`));
  }

  async findByUserCode() {
    return undefined;
  }

  async consume(id) {
    await valkey.hset(this.key(id), 'consumed', Math.floor(Date.now() / 1000));
  }

  async destroy(id) {
    await valkey.del(this.key(id));
  }

  async revokeByGrantId(grant) {
    await valkey.del(...(await valkey.smembers(`grant:${grant}`)), `grant:${grant}`);
  }
}

const provider = new Provider(`http://127.0.0.1:${given.port}`, {
  adapter: InValkey,
  clients: given.clients,
  jwks: { keys: [given.key] },
  cookies: { keys: ['a benchmark keeps no secret'] },
  claims: { openid: ['sub'], profile: ['name'] },
  scopes: ['openid', 'profile'],
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: async (context, client) => client.grantTypeAllowed('refresh_token'),
  enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true },
    revocation: { enabled: true },
  },
  interactions: { url: (context, interaction) => `/interaction/${interaction.uid}` },
  ttl: { AccessToken: 600, AuthorizationCode: 60, ClientCredentials: 600, Grant: 1209600, IdToken: 600, Interaction: 600, RefreshToken: 1209600, Session: 43200 },
  findAccount: async (context, sub) => ({ accountId: sub, claims: async () => ({ sub, name: given.account.name }) }),
});

async function logInAndConsent(request, response) {
  const { params, grantId } = await provider.interactionDetails(request, response);
  const grant = grantId ? await provider.Grant.find(grantId) : new provider.Grant({ accountId: given.account.id, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const result = { login: { accountId: given.account.id }, consent: { grantId: await grant.save() } };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

const answer = provider.callback();
createServer((request, response) => {
  if (request.url.startsWith('/interaction/')) {
    logInAndConsent(request, response).catch((error) => response.writeHead(500).end(String(error)));
  } else {
    answer(request, response);
  }
}).listen(given.port, '127.0.0.1', () => console.log('ready'));
