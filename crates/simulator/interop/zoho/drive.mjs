// Zoho's own Node SDK against the simulator: a second client of the vendor's, with its own reading of ids and types.
// Usage: node drive.mjs BASE_URL, with the SDK in node_modules beside it or above the current directory.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

// Packages are installed outside of the project: they are looked up from where the script is run.
const found = createRequire(join(process.cwd(), "package.json")).resolve("@zohocrm/nodejs-sdk-8.0");
const zoho = await import(pathToFileURL(found).href);
const { Record, Coql } = zoho;

function bodyOf(response, status) {
  assert.equal(response.getStatusCode(), status);
  return response.getObject();
}

function contact(values) {
  const made = new Record.Record();
  for (const [name, value] of Object.entries(values)) made.addKeyValue(name, value);
  return made;
}

function wrapped(rows, check) {
  const body = new Record.BodyWrapper();
  body.setData(rows);
  body.setTrigger([]);
  if (check) body.setDuplicateCheckFields(check);
  return body;
}

async function write(contacts) {
  const good = contact({ Last_Name: "Boyle", Email: "p@a.example", Email_Opt_Out: true });
  const bad = contact({ Last_Name: "x".repeat(81) });
  const mixed = bodyOf(await contacts.createRecords(wrapped([good, bad]), new zoho.HeaderMap()), 207).getData();
  assert.deepEqual(mixed.map((row) => row.getCode().getValue()), ["SUCCESS", "INVALID_DATA"]);
  assert.equal(Number(mixed[1].getDetails().get("maximum_length")), 80);
  const body = wrapped([contact({ Last_Name: "Boyle", Email: "p@a.example", Title: "Dr" })], ["Email"]);
  const again = bodyOf(await contacts.upsertRecords(body, new zoho.HeaderMap()), 200).getData()[0];
  assert.equal(again.getAction().getValue(), "update");
  assert.equal(again.getDuplicateField(), "Email");
  const id = BigInt(mixed[0].getDetails().get("id"));
  assert.equal(BigInt(again.getDetails().get("id")), id);
  return id;
}

async function read(contacts, id) {
  const one = bodyOf(await contacts.getRecord(id, new zoho.ParameterMap(), new zoho.HeaderMap()), 200).getData()[0];
  assert.equal(one.getId(), id);
  assert.equal(one.getKeyValue("Title"), "Dr");
  assert.equal(one.getKeyValue("Email_Opt_Out"), true);
  const asked = new zoho.ParameterMap();
  await asked.add(Record.GetRecordsParam.FIELDS, "Last_Name,Email,Owner");
  const list = bodyOf(await contacts.getRecords(asked, new zoho.HeaderMap()), 200);
  assert.equal(list.getData().length, 1);
  assert.equal(list.getInfo().getMoreRecords(), false);
  const query = new Coql.BodyWrapper();
  query.setSelectQuery(`select Last_Name from Contacts where id = ${id}`);
  const rows = bodyOf(await new Coql.CoqlOperations().getRecords(query), 200).getData();
  assert.equal(rows[0].getId(), id);
}

async function remove(contacts, id) {
  const gone = bodyOf(await contacts.deleteRecord(id, new zoho.ParameterMap(), new zoho.HeaderMap()), 200).getData()[0];
  assert.equal(gone.getCode().getValue(), "SUCCESS");
  const refused = bodyOf(await contacts.getRecord(id, new zoho.ParameterMap(), new zoho.HeaderMap()), 400);
  assert.ok(refused instanceof Record.APIException);
  assert.equal(refused.getCode().getValue(), "INVALID_DATA");
}

const caches = await mkdtemp(join(tmpdir(), "zoho-sdk-"));
try {
  const base = process.argv[2];
  const token = new zoho.OAuthBuilder()
    .clientId("1000.SIMCLIENT")
    .clientSecret("sim-client-secret")
    .refreshToken("1000.sim-refresh-token")
    .findUser(false)
    .build();
  await (await new zoho.InitializeBuilder())
    .environment(zoho.DataCenter.setEnvironment(base, `${base}/oauth/v2/token`, base))
    .token(token)
    .store(new zoho.FileStore(join(caches, "tokens.csv")))
    .logger(new zoho.LogBuilder().level(zoho.Levels.OFF).build())
    .resourcePath(caches)
    .initialize();
  const contacts = new Record.RecordOperations("Contacts");
  const id = await write(contacts);
  console.log("written");
  await read(contacts, id);
  console.log("read, queried");
  await remove(contacts, id);
  console.log("deleted");
} finally {
  await rm(caches, { recursive: true, force: true });
}
