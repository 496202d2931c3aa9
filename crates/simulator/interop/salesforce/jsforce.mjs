// Drives jsforce, which nobody here wrote, against the simulated Salesforce: SALESFORCE_URL, SALESFORCE_TOKEN.
// Prints one line "ok: ..." for each thing that held; the first that does not ends the run with status 1.
import assert from 'node:assert/strict';
import jsforce from 'jsforce';

const url = process.env.SALESFORCE_URL;
const plain = { instanceUrl: url, version: '66.0', maxRequest: 5 };
const ok = (what) => console.log(`ok: ${what}`);
const code = async (promise) => promise.then(() => 'none', (error) => error.errorCode ?? error.name);

const oauth2 = { loginUrl: url, clientId: 'sim-client', clientSecret: 'sim-client-secret',
  redirectUri: 'http://127.0.0.1/oauth/callback' };
const granted = new jsforce.Connection({ ...plain, oauth2 });
await granted.authorize({ grant_type: 'client_credentials' });
const own = await granted.identity();
assert.equal(own.username, 'integration@ponte.example');
ok('client credentials and identity');

const renewing = new jsforce.Connection({ ...plain, oauth2, accessToken: 'ended', refreshToken: 'sim-refresh-token' });
let renewed = 0;
renewing.on('refresh', () => { renewed += 1; });
assert.equal((await renewing.query('SELECT COUNT() FROM Contact')).totalSize, 0);
assert.equal(renewed, 1);
ok('an ended session is renewed by the refresh token');

const conn = new jsforce.Connection({ ...plain, accessToken: process.env.SALESFORCE_TOKEN });
const all = await conn.describeGlobal();
assert.ok(all.sobjects.some((one) => one.name === 'Contact' && one.createable));
const described = await conn.sobject('Contact').describe();
assert.equal(described.fields.find((field) => field.name === 'Email').type, 'email');
ok('describe');

const field = await conn.tooling.sobject('CustomField').create({ FullName: 'Contact.WA_Key__c',
  Metadata: { label: 'Key', type: 'Text', length: 64, externalId: true, unique: true } });
assert.ok(field.success);
const [set] = (await conn.query('SELECT Id FROM PermissionSet')).records;
const grant = await conn.sobject('FieldPermissions').create({ ParentId: set.Id, SobjectType: 'Contact',
  Field: 'Contact.WA_Key__c', PermissionsRead: true, PermissionsEdit: true });
assert.ok(grant.success);
ok('a custom field by the Tooling API, granted');

const contact = conn.sobject('Contact');
const made = await contact.create({ LastName: 'Souza', Email: 'ana@example.org', WA_Key__c: 'per_0' });
assert.ok(made.success && made.id.length === 18);
assert.equal((await contact.retrieve(made.id)).Email, 'ana@example.org');
assert.ok((await contact.update({ Id: made.id, Phone: '+33 6' })).success);
assert.equal(await code(contact.create({ FirstName: 'A' })), 'REQUIRED_FIELD_MISSING');
assert.equal(await code(contact.create({ LastName: 'Souza', Email: 'ana@example.org' })), 'DUPLICATES_DETECTED');
ok('create, retrieve, update and their refusals');

const few = Array.from({ length: 5 }, (_, n) => ({ LastName: `N${n}`, WA_Key__c: `per_${n}` }));
assert.ok((await contact.upsert(few, 'WA_Key__c')).every((row) => row.success));
const many = Array.from({ length: 445 }, (_, n) => ({ LastName: `N${n + 5}`, WA_Key__c: `per_${n + 5}` }));
assert.ok((await contact.create(many, { allowRecursive: true })).every((row) => row.success));
const twice = await contact.create([{ LastName: 'Twin', WA_Key__c: 'per_7' }]);
assert.equal(twice[0].errors[0].statusCode, 'DUPLICATE_VALUE');
ok('upsert by external id, and collections');

const seen = [];
const found = await conn.query('SELECT Id, WA_Key__c FROM Contact ORDER BY SystemModstamp, Id',
  { autoFetch: true, maxFetch: 1000, headers: { 'Sforce-Query-Options': 'batchSize=200' } });
seen.push(...found.records);
assert.equal(new Set(seen.map((row) => row.Id)).size, 450);
ok('a query through its cursor');
assert.equal(await code(conn.query('SELECT Nothing FROM Contact')), 'INVALID_FIELD');
assert.equal(await code(conn.query('SELECT Id FROM')), 'MALFORMED_QUERY');
const listed = await contact.find({ WA_Key__c: { $in: ['per_1', 'per_2'] } }, ['Id', 'LastName']).sort({ LastName: -1 });
assert.deepEqual(listed.map((row) => row.LastName), ['N2', 'N1']);
const search = await conn.search('FIND {ana@example.org} IN EMAIL FIELDS RETURNING Contact(Id, Email)');
assert.equal(search.searchRecords.length, 1);
ok('find, refusals and search');

const end = new Date(Date.now() + 3_600_000);
const start = new Date(Date.now() - 86_400_000);
await contact.delete(made.id);
assert.equal((await contact.deleted(start, end)).deletedRecords.length, 1);
assert.equal((await contact.updated(start, end)).ids.length, 449);
ok('getDeleted and getUpdated');

conn.bulk2.pollInterval = 50;
const rows = await conn.bulk2.loadAndWaitForResults({ object: 'Contact', operation: 'upsert', externalIdFieldName: 'WA_Key__c',
  input: [{ WA_Key__c: 'per_900', LastName: 'Bulk' }, { WA_Key__c: 'per_901', LastName: '' }] });
assert.equal(rows.successfulResults.length, 1);
assert.match(rows.failedResults[0].sf__Error, /^REQUIRED_FIELD_MISSING:/);
const stream = await conn.bulk2.query("SELECT LastName FROM Contact WHERE WA_Key__c = 'per_900'");
assert.equal((await stream.toArray())[0].LastName, 'Bulk');
ok('Bulk API 2.0 ingest and query');

assert.ok(conn.limitInfo.apiUsage.limit > 0 && conn.limitInfo.apiUsage.used > 0);
const limits = await conn.limits();
assert.ok(limits.DailyApiRequests.Remaining < limits.DailyApiRequests.Max);
ok('limits and their header');
