'use strict';

// Whether what was pushed was signed by Ponte: Standard Webhooks, HMAC-SHA256 over id.timestamp.body.

const { createHmac, timingSafeEqual } = require('node:crypto');

/** Older or newer than this and it may be a repetition by somebody else. Seconds. */
const TOLERANCE = 5 * 60;

function isSigned(headers, rawBody, secret, now = Date.now() / 1000) {
  const id = headers['webhook-id'];
  const timestamp = Number(headers['webhook-timestamp']);
  if (!id || !Number.isInteger(timestamp) || Math.abs(now - timestamp) > TOLERANCE) return false;
  const key = Buffer.from(String(secret).replace(/^whsec_/, ''), 'base64');
  const wanted = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(rawBody).digest();
  return String(headers['webhook-signature'] || '')
    .split(' ')
    .filter((one) => one.startsWith('v1,'))
    .map((one) => Buffer.from(one.slice(3), 'base64'))
    .some((one) => one.length === wanted.length && timingSafeEqual(one, wanted));
}

module.exports = { isSigned };
