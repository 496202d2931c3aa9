// Sends everything through Ponte with whatsapp-api-js, as its users do. Prints what was sent and the codes of the errors, as JSON.
// Meta's address is fixed in it; the `fetch` that it lets one give leads elsewhere.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { WhatsAppAPI } from 'whatsapp-api-js';
import * as m from 'whatsapp-api-js/messages';

const { PONTE_URL, PONTE_KEY, PONTE_NUMBER, TO, THEIRS, STRANGER } = process.env;
const picture = Buffer.from(process.env.PICTURE, 'hex');
const elsewhere = (url, options) => fetch(String(url).replace('https://graph.facebook.com', PONTE_URL), options);
const client = (token) => new WhatsAppAPI({ token, v: 'v26.0', secure: false, ponyfill: { fetch: elsewhere } });
const api = client(PONTE_KEY);

const sent = {};
const send = async (name, message, context) => {
  const answer = await api.sendMessage(PONTE_NUMBER, TO, message, context);
  assert.ok(answer.messages, JSON.stringify(answer));
  sent[name] = answer.messages[0].id;
};
await send('text', new m.Text('a text by whatsapp-api-js'));
await send('reply', new m.Text('a reply by whatsapp-api-js'), THEIRS);
const buttons = new m.ActionButtons(new m.Button('yes', 'Yes'), new m.Button('no', 'No'));
await send('buttons', new m.Interactive(buttons, new m.Body('Shall we?'), undefined, new m.Footer('by whatsapp-api-js')));
const rows = [new m.Row('s', 'Small', '30 cm'), new m.Row('l', 'Large')];
const list = new m.ActionList('Sizes', new m.ListSection('Pots', ...rows));
await send('list', new m.Interactive(list, new m.Body('Which size?'), new m.Header('Pots')));
await send('image by link', new m.Image('https://shop.example/a.png', false, 'linked'));
await send('location', new m.Location(-70.66, -33.45, 'Shop', 'Main street 1'));
await send('contacts', new m.Contacts([new m.Name('Ana Souza', 'Ana'), new m.Phone('+4915111000001', 'WORK')]));
await send('reaction', new m.Reaction(THEIRS, '\u{1f44d}'));
const body = (...texts) => new m.BodyComponent(...texts.map((text) => new m.BodyParameter(text)));
const template = (name, ...components) => new m.Template(name, new m.Language('en_US'), ...components);
await send('template', template('appointment_reminder', body('Tuesday', '10:30')));
assert.equal((await api.markAsRead(PONTE_NUMBER, THEIRS)).success, true);
assert.equal((await api.markAsRead(PONTE_NUMBER, THEIRS, 'text')).success, true);

// A file: up, told, down, sent, gone.
const upload = async (name) => {
  const form = new FormData();
  form.set('file', new Blob([picture], { type: 'image/png' }), name);
  return (await api.uploadMedia(PONTE_NUMBER, form)).id;
};
const id = await upload('a.png');
const told = await api.retrieveMedia(id);
assert.deepEqual([told.id, told.mime_type, Number(told.file_size)], [id, 'image/png', picture.length], JSON.stringify(told));
assert.equal(told.sha256, createHash('sha256').update(picture).digest('hex'));
assert.ok(told.url.startsWith(PONTE_URL), told.url);
assert.deepEqual(Buffer.from(await (await api.fetchMedia(told.url)).arrayBuffer()), picture);
await send('image by id', new m.Image(id, true, 'uploaded'));
const doomed = await upload('b.png');
assert.equal((await api.deleteMedia(doomed, PONTE_NUMBER)).success, true);

const raised = {};
const refused = async (name, call) => {
  const answer = await call();
  if (answer.error) raised[name] = `${answer.error.type} ${answer.error.code}`;
};
const promotion = [
  new m.HeaderComponent(new m.HeaderParameter(new m.Image('https://shop.example/a.png'))),
  body('Ana', '25OFF'),
];
await refused('window', () => api.sendMessage(PONTE_NUMBER, STRANGER, new m.Text('no window')));
await refused('marketing', () => api.sendMessage(PONTE_NUMBER, TO, template('spring_sale', ...promotion)));
await refused('template', () => api.sendMessage(PONTE_NUMBER, TO, template('appointment_reminder')));
await refused('no such template', () => api.sendMessage(PONTE_NUMBER, TO, template('never_made')));
await refused('number', () => api.sendMessage('999', TO, new m.Text('from nobody')));
await refused('nobody', () => api.sendMessage(PONTE_NUMBER, '12', new m.Text('no phone number')));
await refused('key', () => client('wrong').sendMessage(PONTE_NUMBER, TO, new m.Text('no key')));
await refused('file', () => api.retrieveMedia(doomed));
console.log(JSON.stringify({ sent, raised }));
