'use strict';

// The nodes as values, and the signature.

const assert = require('node:assert/strict');
const { existsSync } = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const manifest = require('../package.json');
const { isSigned } = require('../lib/signature');

test('what the package names is there, and is called as n8n asks', () => {
  const { nodes, credentials } = manifest.n8n;
  for (const file of [...nodes, ...credentials]) {
    const place = path.join(__dirname, '..', file);
    assert.ok(existsSync(place), file);
    const name = path.basename(file).split('.')[0];
    assert.equal(typeof require(place)[name], 'function', `${file} gives the class ${name}`);
  }
  assert.ok(manifest.name.startsWith('n8n-nodes-') && manifest.keywords.includes('n8n-community-node-package'));
  assert.equal(manifest.dependencies, undefined, 'a verified node has none');
});

test('a trigger has no input and its lifecycle', () => {
  const { PonteTrigger } = require('../nodes/Ponte/PonteTrigger.node');
  const node = new PonteTrigger();
  assert.deepEqual([node.description.inputs, node.description.outputs], [[], ['main']]);
  assert.deepEqual(Object.keys(node.webhookMethods.default), ['checkExists', 'create', 'delete']);
});

test('the published example of a signature is taken, and nothing else', () => {
  const headers = {
    'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,bm90IHRoaXMgb25l v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  };
  const [secret, body, at] = ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', Buffer.from('{"test": 2432232314}'), 1614265330];
  assert.ok(isSigned(headers, body, secret, at));
  assert.ok(!isSigned(headers, Buffer.from('{}'), secret, at));
  assert.ok(!isSigned(headers, body, 'whsec_b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcg==', at));
  assert.ok(!isSigned(headers, body, secret, at + 301), 'too old');
  assert.ok(!isSigned({ ...headers, 'webhook-signature': '' }, body, secret, at));
  assert.ok(!isSigned({}, body, secret, at));
});
