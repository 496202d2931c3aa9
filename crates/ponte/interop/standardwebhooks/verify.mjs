// Verifies calls that Ponte made by a library that nobody here wrote. Standard input: [{headers, body, secrets}, …].
// Prints one line "ok: ..." for each thing that held; the first that does not ends the run with status 1.
import assert from 'node:assert/strict';
import { text } from 'node:stream/consumers';
import { Webhook } from 'standardwebhooks';

const calls = JSON.parse(await text(process.stdin));
const ok = (what) => console.log(`ok: ${what}`);
assert.ok(calls.length > 0);

for (const { headers, body, secrets } of calls) {
  for (const secret of secrets) {
    const told = new Webhook(secret).verify(body, headers);
    assert.equal(told.id, headers['webhook-id']);
  }
}
ok(`${calls.length} calls verify under every secret of their time`);

const [{ headers, body, secrets: [secret] }] = calls;
const refused = (headers, body, secret) => assert.throws(() => new Webhook(secret).verify(body, headers));
refused(headers, `${body} `, secret);
refused({ ...headers, 'webhook-id': 'evt_other' }, body, secret);
refused({ ...headers, 'webhook-timestamp': '1614265330' }, body, secret);
refused(headers, body, `whsec_${Buffer.alloc(32, 7).toString('base64')}`);
ok('what was changed on the way does not');
