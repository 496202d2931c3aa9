// Sends everything through Ponte with @kapso/whatsapp-cloud-api, as its users do. Prints what was sent and which errors were
// raised, as JSON.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { GraphApiError, WhatsAppClient } from '@kapso/whatsapp-cloud-api';

const { PONTE_URL: baseUrl, PONTE_KEY, PONTE_NUMBER: phoneNumberId, TO: to, THEIRS, STRANGER } = process.env;
const picture = Buffer.from(process.env.PICTURE, 'hex');
const client = (accessToken) => new WhatsAppClient({ baseUrl, graphVersion: 'v26.0', accessToken });
const { messages, media } = client(PONTE_KEY);

const sent = {};
const send = async (name, kind, more) => {
  sent[name] = (await messages[kind]({ phoneNumberId, to, ...more })).messages[0].id;
};
await send('text', 'sendText', { body: 'a text by kapso' });
await send('reply', 'sendText', { body: 'a reply by kapso', contextMessageId: THEIRS });
const buttons = [{ id: 'yes', title: 'Yes' }, { id: 'no', title: 'No' }];
await send('buttons', 'sendInteractiveButtons', { bodyText: 'Shall we?', footerText: 'by kapso', buttons });
const sections = [{ title: 'Pots', rows: [{ id: 's', title: 'Small', description: '30 cm' }, { id: 'l', title: 'Large' }] }];
await send('list', 'sendInteractiveList', { bodyText: 'Which size?', buttonText: 'Sizes', sections });
await send('image by link', 'sendImage', { image: { link: 'https://shop.example/a.png', caption: 'linked' } });
await send('location', 'sendLocation', { location: { latitude: -33.45, longitude: -70.66, name: 'Shop', address: 'Main street 1' } });
const card = { name: { formattedName: 'Ana Souza', firstName: 'Ana' }, phones: [{ phone: '+4915111000001', type: 'WORK' }] };
await send('contacts', 'sendContacts', { contacts: [card] });
await send('reaction', 'sendReaction', { reaction: { messageId: THEIRS, emoji: '\u{1f44d}' } });
const body = (...texts) => ({ type: 'body', parameters: texts.map((text) => ({ type: 'text', text })) });
const template = (name, ...components) => ({ template: { name, language: { code: 'en_US' }, components } });
await send('template', 'sendTemplate', template('appointment_reminder', body('Tuesday', '10:30')));
assert.equal((await messages.markRead({ phoneNumberId, messageId: THEIRS })).success, true);
const typing = { phoneNumberId, messageId: THEIRS, typingIndicator: { type: 'text' } };
assert.equal((await messages.markRead(typing)).success, true);

// A file: up, told, down, sent, gone.
const upload = async (fileName) => {
  const file = new Blob([picture], { type: 'image/png' });
  return (await media.upload({ phoneNumberId, type: 'image/png', file, fileName })).id;
};
const mediaId = await upload('a.png');
const told = await media.get({ mediaId, phoneNumberId });
assert.deepEqual([told.id, told.mimeType, Number(told.fileSize)], [mediaId, 'image/png', picture.length]);
assert.equal(told.sha256, createHash('sha256').update(picture).digest('hex'));
assert.ok(told.url.startsWith(baseUrl), told.url);
assert.deepEqual(Buffer.from(await media.download({ mediaId, phoneNumberId, auth: 'always' })), picture);
await send('image by id', 'sendImage', { image: { id: mediaId, caption: 'uploaded' } });
const doomed = await upload('b.png');
assert.equal((await media.delete({ mediaId: doomed, phoneNumberId })).success, true);

const raised = {};
const refused = async (name, call) => {
  try {
    await call();
  } catch (error) {
    assert.ok(error instanceof GraphApiError, String(error));
    raised[name] = `${error.category} ${error.code}`;
  }
};
const promotion = [
  { type: 'header', parameters: [{ type: 'image', image: { link: 'https://shop.example/a.png' } }] },
  body('Ana', '25OFF'),
  { type: 'button', subType: 'copy_code', index: 0, parameters: [{ type: 'coupon_code', couponCode: '25OFF' }] },
];
await refused('window', () => messages.sendText({ phoneNumberId, to: STRANGER, body: 'no window' }));
await refused('marketing', () => messages.sendTemplate({ phoneNumberId, to, ...template('spring_sale', ...promotion) }));
await refused('template', () => messages.sendTemplate({ phoneNumberId, to, ...template('appointment_reminder') }));
await refused('no such template', () => messages.sendTemplate({ phoneNumberId, to, ...template('never_made') }));
await refused('number', () => messages.sendText({ phoneNumberId: '999', to, body: 'from nobody' }));
await refused('nobody', () => messages.sendText({ phoneNumberId, to: '12', body: 'no phone number' }));
await refused('key', () => client('wrong').messages.sendText({ phoneNumberId, to, body: 'no key' }));
await refused('file', () => media.get({ mediaId: doomed, phoneNumberId }));
console.log(JSON.stringify({ sent, raised }));
