"""Drives simple-salesforce, which nobody here wrote, against the simulated Salesforce: SALESFORCE_URL, SALESFORCE_TOKEN.

Prints one line "ok: ..." for each thing that held; the first that does not ends the run with status 1.
"""

import datetime
import os

from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceError, SalesforceMalformedRequest, SalesforceMoreThanOneRecord

URL = os.environ["SALESFORCE_URL"]
BASE = f"{URL}/services/data/v66.0/"


def connect(token):
    client = Salesforce(instance_url=URL, session_id=token, version="66.0")
    # It always says https; the simulator speaks plain HTTP on loopback.
    client.base_url, client.bulk2_url, client.tooling_url = BASE, f"{BASE}jobs/", f"{BASE}tooling/"
    return client


def of_type(client, name):
    handle = getattr(client, name)
    handle.base_url = f"{BASE}sobjects/{name}/"
    return handle


def code(work):
    try:
        work()
    except SalesforceError as error:
        return error.content[0]["errorCode"]
    return None


sf = connect(os.environ["SALESFORCE_TOKEN"])
contact = of_type(sf, "Contact")

assert any(one["name"] == "Contact" for one in sf.describe()["sobjects"])
assert any(field["name"] == "LastName" and not field["nillable"] for field in contact.describe()["fields"])
print("ok: describe")

made = contact.create({"LastName": "Souza", "Email": "ana@example.org"})
assert made["success"] and len(made["id"]) == 18
assert contact.get(made["id"])["Name"] == "Souza"
assert contact.update(made["id"], {"Phone": "+33 6"}) == 204
assert code(lambda: contact.create({"FirstName": "A"})) == "REQUIRED_FIELD_MISSING"
assert code(lambda: contact.get("0035g0000000999")) == "NOT_FOUND"
print("ok: create, get, update and their refusals")

for name, unique in (("SS_Key__c", True), ("SS_Loose__c", False)):
    metadata = {"label": name[:-3], "type": "Text", "length": 64, "externalId": True, "unique": unique}
    sf.toolingexecute("sobjects/CustomField", method="POST", data={"FullName": f"Contact.{name}", "Metadata": metadata})
    parent = sf.query("SELECT Id FROM PermissionSet")["records"][0]["Id"]
    of_type(sf, "FieldPermissions").create({"ParentId": parent, "SobjectType": "Contact", "Field": f"Contact.{name}",
                                            "PermissionsRead": True, "PermissionsEdit": True})
assert contact.upsert("SS_Key__c/per_1", {"LastName": "One"}) == 201
assert contact.upsert("SS_Key__c/per_1", {"LastName": "Uno"}) in (200, 204)
assert contact.get_by_custom_id("SS_Key__c", "per_1")["LastName"] == "Uno"
for last in ("A", "B"):
    contact.create({"LastName": last, "SS_Loose__c": "same"})
try:
    contact.upsert("SS_Loose__c/same", {"LastName": "C"})
    raise AssertionError("several records must be told")
except SalesforceMoreThanOneRecord as error:
    assert len(error.content) == 2
print("ok: upsert by external id, and 300 on several")

for number in range(3):
    rows = [{"attributes": {"type": "Contact"}, "LastName": f"R{number}-{n}"} for n in range(200)]
    answer = sf.restful("composite/sobjects", method="POST", json={"allOrNone": False, "records": rows})
    assert all(row["success"] for row in answer)
records = sf.query_all("SELECT Id FROM Contact", include_deleted=False)
assert records["totalSize"] == len({row["Id"] for row in records["records"]}) >= 600
try:
    sf.query("SELECT Id FROM")
    raise AssertionError("a malformed query must be refused")
except SalesforceMalformedRequest as error:
    assert error.content[0]["errorCode"] == "MALFORMED_QUERY"
print("ok: collections and queries")

assert len(sf.search("FIND {ana@example.org} IN EMAIL FIELDS RETURNING Contact(Id)")["searchRecords"]) >= 1
assert "DailyApiRequests" in sf.limits()
assert sf.api_usage["api-usage"].used > 0
print("ok: search and limits")

now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
contact.delete(made["id"])
gone = contact.deleted(now - datetime.timedelta(days=1), now + datetime.timedelta(hours=1))
assert made["id"] in [row["id"] for row in gone["deletedRecords"]]
print("ok: getDeleted")

bulk = sf.bulk2.Contact
done = bulk.upsert(records=[{"SS_Key__c": "per_7", "LastName": "Bulk"}, {"SS_Key__c": "per_8", "LastName": ""}],
                   external_id_field="SS_Key__c")
assert (done[0]["numberRecordsProcessed"], done[0]["numberRecordsFailed"]) == (2, 1), done
assert "REQUIRED_FIELD_MISSING" in bulk.get_failed_records(done[0]["job_id"])
pages = list(bulk.query("SELECT LastName FROM Contact WHERE SS_Key__c = 'per_7'"))
assert "Bulk" in pages[0]
print("ok: Bulk API 2.0")

assert code(lambda: connect("ended").query("SELECT Id FROM Contact")) == "INVALID_SESSION_ID"
print("ok: an ended session is told")
