// openid-client against a running Fujie, as a portal and its user's browser: standard input {issuer, client, account};
// prints what was learnt. The browser is fetch with a cookie jar that fills in the forms as they come, without scripts.
import * as client from 'openid-client'
import { text } from 'node:stream/consumers'

const { issuer, portal, account } = JSON.parse(await text(process.stdin))
const jar = new Map()

async function browse(address, form) {
  const headers = { accept: 'text/html', cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; ') }
  if (form) headers.origin = new URL(address).origin
  const answer = await fetch(address, { method: form ? 'POST' : 'GET', headers, body: form, redirect: 'manual' })
  for (const line of answer.headers.getSetCookie()) {
    const [name, value] = line.split(';')[0].split(/=(.*)/s)
    jar.set(name, value)
  }
  const location = answer.headers.get('location')
  if (!location) return { address, page: await answer.text() }
  const next = new URL(location, address)
  return next.href.startsWith(portal.redirect_uris[0]) ? { arrived: next } : browse(next.href)
}

function fill(page, action, values) {
  const form = [...page.matchAll(/<form[^>]*action="([^"]*)"[^>]*>(.*?)<\/form>/gs)].find(([, address]) => address.startsWith(action))
  if (!form) throw new Error(`no form for ${action}`)
  const fields = new URLSearchParams(values)
  for (const [input] of form[2].matchAll(/<input[^>]*type="hidden"[^>]*>/g)) {
    fields.set(/name="([^"]*)"/.exec(input)[1], /value="([^"]*)"/.exec(input)[1].replaceAll('&amp;', '&'))
  }
  return fields
}

const options = { execute: [client.allowInsecureRequests] }
const config = await client.discovery(new URL(issuer), portal.client_id, portal.client_secret, undefined, options)
const verifier = client.randomPKCECodeVerifier()
const nonce = client.randomNonce()
const state = client.randomState()
const address = client.buildAuthorizationUrl(config, {
  redirect_uri: portal.redirect_uris[0], scope: 'openid profile offline_access', state, nonce,
  code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
})
let step = await browse(address.href)
const prompts = []
while (!step.arrived) {
  const path = new URL(step.address).pathname
  prompts.push(path)
  if (prompts.length > 3) throw new Error(`stuck at ${path}`)
  const values = path === '/login' ? { username: account.username, password: account.password } : { decision: 'allow' }
  step = await browse(new URL(path, issuer).href, fill(step.page, path, values))
}
const tokens = await client.authorizationCodeGrant(config, step.arrived, { pkceCodeVerifier: verifier, expectedNonce: nonce, expectedState: state })
const claims = tokens.claims()
const person = await client.fetchUserInfo(config, tokens.access_token, claims.sub)
const renewed = await client.refreshTokenGrant(config, tokens.refresh_token)
const logout = client.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, post_logout_redirect_uri: portal.redirect_uris[0] })
const left = await browse(logout.href)
const again = await browse(address.href)
console.log(JSON.stringify({
  prompts, issuer: claims.iss, acr: claims.acr, amr: claims.amr, name: person.name,
  renewed: renewed.access_token !== tokens.access_token, rotated: renewed.refresh_token !== tokens.refresh_token,
  logged_out: Boolean(left.arrived), asked_again: new URL(again.address).pathname,
}))
