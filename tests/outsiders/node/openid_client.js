// A relying party as its makers would write it: openid-client with every check it offers.
// Reads {issuer, clientId, clientSecret, alg, redirectUri, postLogoutRedirectUri, cookie} from standard input and prints
// what it learnt as one JSON object. The browser is a fetch that follows nothing and carries the person's cookie.
import * as client from 'openid-client'

const input = JSON.parse(await new Response(process.stdin).text())

const config = await client.discovery(
  new URL(input.issuer),
  input.clientId,
  { id_token_signed_response_alg: input.alg },
  input.post ? client.ClientSecretPost(input.clientSecret) : client.ClientSecretBasic(input.clientSecret),
  // enableNonRepudiationChecks: verify the ID token's signature too, although it came straight from the token endpoint.
  { execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks] },
)

async function browse(url) {
  const response = await fetch(url, { redirect: 'manual', headers: { cookie: input.cookie } })
  if (response.status !== 303) throw new Error(`the browser got ${response.status}: ${await response.text()}`)
  return new URL(response.headers.get('location'), url)
}

const verifier = client.randomPKCECodeVerifier()
const state = client.randomState()
const nonce = client.randomNonce()
const request = client.buildAuthorizationUrl(config, {
  redirect_uri: input.redirectUri,
  scope: 'openid profile',
  code_challenge: await client.calculatePKCECodeChallenge(verifier),
  code_challenge_method: 'S256',
  max_age: '3600',
  state,
  nonce,
})
const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true, maxAge: 3600 }
const callback = await browse(request)
const tokens = await client.authorizationCodeGrant(config, callback, checks)
const claims = tokens.claims()
const userinfo = await client.fetchUserInfo(config, tokens.access_token, claims.sub)
const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token)
const introspected = await client.tokenIntrospection(config, refreshed.access_token)
await client.tokenRevocation(config, refreshed.access_token)
const revoked = await client.tokenIntrospection(config, refreshed.access_token)

let replay
try {
  await client.authorizationCodeGrant(config, callback, checks)
} catch (error) {
  replay = { error: error.error, status: error.status }
}

// The replay revoked the family, so log in once more before logging out.
const again = await client.authorizationCodeGrant(
  config,
  await browse(client.buildAuthorizationUrl(config, Object.fromEntries(request.searchParams))),
  checks,
)
const farewell = await browse(
  client.buildEndSessionUrl(config, {
    id_token_hint: again.id_token,
    post_logout_redirect_uri: input.postLogoutRedirectUri,
    state: 'farewell',
  }),
)
const afterwards = await browse(client.buildAuthorizationUrl(config, Object.fromEntries(request.searchParams)))

console.log(
  JSON.stringify({
    metadata: config.serverMetadata(),
    claims,
    userinfo,
    refreshedClaims: refreshed.claims(),
    rotated: refreshed.refresh_token !== tokens.refresh_token,
    introspected,
    revoked,
    replay,
    farewell: farewell.href,
    afterwards: afterwards.pathname,
  }),
)
