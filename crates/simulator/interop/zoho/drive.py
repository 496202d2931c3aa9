"""Zoho's own Python SDK against the simulator: what the vendor's client sends must be taken, what it reads must parse.

Usage: drive.py BASE_URL. Every step prints one line; the first that fails ends the run with status 1.
The SDK keeps its caches in a directory of its own, made here and removed at the end.
"""

import datetime
import logging
import os
import shutil
import sys
import tempfile

from zohocrmsdk.src.com.zoho.api.authenticator.oauth_token import OAuthToken
from zohocrmsdk.src.com.zoho.api.authenticator.store import FileStore
from zohocrmsdk.src.com.zoho.crm.api import HeaderMap, Initializer, ParameterMap
from zohocrmsdk.src.com.zoho.crm.api import convert_lead, coql, fields, modules, notes, notifications, org, record, tags, users
from zohocrmsdk.src.com.zoho.crm.api.dc import DataCenter
from zohocrmsdk.src.com.zoho.crm.api.profiles import MinifiedProfile
from zohocrmsdk.src.com.zoho.crm.api.sdk_config import SDKConfig
from zohocrmsdk.src.com.zoho.crm.api.util import Choice

Field = record.Field


def body_of(response, status):
    """The parsed body of an answer with the expected status."""
    assert response is not None, "no answer"
    assert response.get_status_code() == status, f"status {response.get_status_code()}, not {status}"
    return response.get_object()


def rows_of(response, status, kind=record.ActionWrapper, get="get_data"):
    wrapper = body_of(response, status)
    assert isinstance(wrapper, kind), f"a {type(wrapper).__name__}"
    return getattr(wrapper, get)()


def code(row):
    return row.get_code().get_value()


def params(**pairs):
    made = ParameterMap()
    for param, value in pairs.values():
        made.add(param, value)
    return made


def contact(**values):
    made = record.Record()
    for name, value in values.items():
        made.add_key_value(name, value)
    return made


def wrapped(rows, check=None):
    body = record.BodyWrapper()
    body.set_data(rows)
    body.set_trigger([])
    if check:
        body.set_duplicate_check_fields(check)
    return body


def settings():
    found = body_of(org.OrgOperations().get_organization(), 200).get_org()[0]
    assert found.get_company_name() == "Zylker"
    people = body_of(users.UsersOperations().get_users(params(a=(users.GetUsersParam.type, "CurrentUser"))), 200)
    assert people.get_users()[0].get_full_name() == "Integration User"
    found = body_of(modules.ModulesOperations().get_modules(ParameterMap(), HeaderMap()), 200).get_modules()
    assert "Contacts" in [module.get_api_name() for module in found]
    asked = params(a=(fields.GetFieldsParam.module, "Contacts"))
    found = {field.get_api_name(): field for field in body_of(fields.FieldsOperations().get_fields(asked), 200).get_fields()}
    assert found["Last_Name"].get_length() == 80 and found["Last_Name"].get_system_mandatory()
    assert found["Account_Name"].get_lookup().get_module().get_api_name() == "Accounts"
    assert found["Lead_Source"].get_pick_list_values()[0].get_display_value() == "-None-"


def make_field():
    field, unique, external = fields.Fields(), fields.Unique(), fields.External()
    unique.set_casesensitive("false")
    external.set_type("org")
    external.set_show(True)
    field.set_field_label("WA Key")
    field.set_data_type("text")
    field.set_length(80)
    field.set_unique(unique)
    field.set_external(external)
    body = fields.BodyWrapper()
    body.set_fields([field])
    asked = params(a=(fields.CreateFieldParam.module, "Contacts"))
    made = rows_of(fields.FieldsOperations().create_field(body, asked), 201, fields.ActionWrapper, "get_fields")
    assert code(made[0]) == "SUCCESS"


def make_module():
    module, profile = modules.Modules(), MinifiedProfile()
    profile.set_id(5725767000000026011)
    module.set_singular_label("WhatsApp message")
    module.set_plural_label("WhatsApp messages")
    module.set_api_name("WhatsApp_Messages")
    module.set_profiles([profile])
    body = modules.BodyWrapper()
    body.set_modules([module])
    made = rows_of(modules.ModulesOperations().create_custom_modules(body), 201, modules.ActionWrapper, "get_modules")
    assert code(made[0]) == "SUCCESS"


def write():
    """Insert, update, upsert; a good row beside a bad one."""
    contacts = record.RecordOperations("Contacts")
    good = contact(Last_Name="Boyle", First_Name="Pat", Email="p@a.example", Mobile="+5511999990000", WA_Key="per_1")
    good.add_key_value("Lead_Source", Choice("WhatsApp"))
    good.add_key_value("Email_Opt_Out", True)
    good.add_key_value("Date_of_Birth", datetime.date(1990, 5, 1))
    made = rows_of(contacts.create_records(wrapped([good, contact(Last_Name="Twin", WA_Key="per_1")])), 207)
    assert [code(row) for row in made] == ["SUCCESS", "DUPLICATE_DATA"]
    first = made[0].get_details()["id"]
    assert str(made[1].get_details()["duplicate_record"].get_id()) == str(first)
    changed = rows_of(contacts.update_record(int(first), wrapped([contact(Title="Dr")])), 200)
    assert code(changed[0]) == "SUCCESS"
    again = rows_of(contacts.upsert_records(wrapped([contact(Last_Name="Boyle", WA_Key="per_1")], ["WA_Key"])), 200)
    assert again[0].get_action().get_value() == "update" and again[0].get_duplicate_field() == "WA_Key"
    header = HeaderMap()
    header.add(record.UpdateRecordUsingExternalIDHeader.x_external, "Contacts.WA_Key")
    changed = rows_of(contacts.update_record_using_external_id("per_1", wrapped([contact(Title="Prof")]), header), 200)
    assert str(changed[0].get_details()["id"]) == str(first)
    return int(first)


def read(first):
    contacts = record.RecordOperations("Contacts")
    one = rows_of(contacts.get_record(first, ParameterMap(), HeaderMap()), 200, record.ResponseWrapper)[0]
    assert one.get_key_value("Title") == "Prof" and one.get_key_value("Email_Opt_Out") is True
    assert one.get_key_value("Date_of_Birth") == datetime.date(1990, 5, 1)
    assert one.get_key_value("Lead_Source").get_value() == "WhatsApp"
    assert one.get_created_by().get_name() == "Integration User"
    assert isinstance(one.get_modified_time(), datetime.datetime)

    asked = params(
        a=(record.GetRecordsParam.fields, "Last_Name,Modified_Time,Owner,Tag"),
        b=(record.GetRecordsParam.per_page, 1),
        c=(record.GetRecordsParam.sort_by, "Modified_Time"),
        d=(record.GetRecordsParam.sort_order, "asc"),
    )
    wrapper = body_of(contacts.get_records(asked, HeaderMap()), 200)
    assert wrapper.get_info().get_more_records() is False and wrapper.get_info().get_count() == 1
    since = HeaderMap()
    since.add(record.GetRecordsHeader.if_modified_since, one.get_modified_time() + datetime.timedelta(seconds=5))
    assert contacts.get_records(asked, since).get_status_code() == 304

    asked = params(a=(record.SearchRecordsParam.phone, "5511999990000"))
    found = rows_of(contacts.search_records(asked, HeaderMap()), 200, record.ResponseWrapper)
    assert [row.get_id() for row in found] == [first]
    asked = params(a=(record.SearchRecordsParam.criteria, "((Last_Name:equals:Boyle)and(WA_Key:equals:per_1))"))
    assert len(rows_of(contacts.search_records(asked, HeaderMap()), 200, record.ResponseWrapper)) == 1
    query = coql.BodyWrapper()
    query.set_select_query("select Last_Name, Owner from Contacts where (WA_Key = 'per_1' and id > 1) order by id limit 5")
    wrapper = body_of(coql.CoqlOperations().get_records(query), 200)
    assert [row.get_id() for row in wrapper.get_data()] == [first]


def tag(first):
    made, body = tags.Tag(), tags.BodyWrapper()
    made.set_name("vip")
    body.set_tags([made])
    asked = params(a=(tags.CreateTagsParam.module, "Contacts"))
    rows = rows_of(tags.TagsOperations().create_tags(body, asked), 201, tags.ActionWrapper, "get_tags")
    assert code(rows[0]) == "SUCCESS"
    asked = params(a=(tags.GetTagsParam.module, "Contacts"))
    listed = body_of(tags.TagsOperations().get_tags(asked), 200)
    assert listed.get_tags()[0].get_name() == "vip" and listed.get_info().get_count() == 1
    again, request = tags.Tag(), tags.NewTagRequestWrapper()
    again.set_name("vip")
    request.set_tags([again])
    request.set_over_write(False)
    rows = rows_of(tags.TagsOperations().add_tags("Contacts", first, request, ParameterMap()), 200, tags.RecordActionWrapper)
    assert code(rows[0]) == "SUCCESS" and rows[0].get_details()["tags"][0].get_name() == "vip"
    one = rows_of(record.RecordOperations("Contacts").get_record(first, ParameterMap(), HeaderMap()), 200, record.ResponseWrapper)
    assert one[0].get_tag()[0].get_name() == "vip"


def note(first):
    made, parent, module, body = notes.Note(), notes.ParentId(), modules.MinifiedModule(), notes.BodyWrapper()
    module.set_api_name("Contacts")
    parent.set_id(first)
    parent.set_module(module)
    made.set_note_title("WhatsApp")
    made.set_note_content("hello")
    made.set_parent_id(parent)
    body.set_data([made])
    rows = rows_of(notes.NotesOperations().create_notes(body), 201, notes.ActionWrapper)
    assert code(rows[0]) == "SUCCESS"
    asked = params(a=(notes.GetNotesParam.fields, "Note_Title,Note_Content,Parent_Id"))
    listed = rows_of(notes.NotesOperations().get_notes(asked, HeaderMap()), 200, notes.ResponseWrapper)
    assert listed[0].get_note_content() == "hello" and str(listed[0].get_parent_id().get_id()) == str(first)


def convert():
    leads = record.RecordOperations("Leads")
    made = rows_of(leads.create_records(wrapped([contact(Last_Name="Lead", Company="Zylker")])), 201)
    wanted, body = convert_lead.LeadConverter(), convert_lead.BodyWrapper()
    wanted.set_overwrite(True)
    body.set_data([wanted])
    operations = convert_lead.ConvertLeadOperations(int(made[0].get_details()["id"]))
    rows = rows_of(operations.convert_lead(body), 200, convert_lead.ActionWrapper)
    assert code(rows[0]) == "SUCCESS"
    refused = body_of(operations.convert_lead(body), 400)
    assert isinstance(refused, convert_lead.APIException) and code(refused) == "ID_ALREADY_CONVERTED"


def watch():
    channel, body = notifications.Notification(), notifications.BodyWrapper()
    channel.set_channel_id("1000000068001")
    channel.set_events(["Contacts.all"])
    # The SDK takes addresses only that have something like its own sample in them.
    channel.set_notify_url("http://127.0.0.1:9/www.abcdezoho.com")
    channel.set_token("secret")
    channel.set_channel_expiry(datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=6))
    body.set_watch([channel])
    operations = notifications.NotificationsOperations()
    rows = rows_of(operations.enable_notifications(body), 201, notifications.ActionWrapper, "get_watch")
    assert code(rows[0]) == "SUCCESS"
    listed = body_of(operations.get_notifications(ParameterMap()), 200)
    assert listed.get_watch()[0].get_resource_name() == "Contacts"
    asked = params(a=(notifications.DeleteNotificationParam.channel_ids, "1000000068001"))
    rows = rows_of(operations.delete_notification(asked), 200, notifications.ActionWrapper, "get_watch")
    assert code(rows[0]) == "SUCCESS"


def delete(first):
    contacts = record.RecordOperations("Contacts")
    assert code(rows_of(contacts.delete_record(first, ParameterMap(), HeaderMap()), 200)[0]) == "SUCCESS"
    asked = params(a=(record.GetDeletedRecordsParam.type, "all"))
    gone = rows_of(contacts.get_deleted_records(asked, HeaderMap()), 200, record.DeletedRecordsWrapper)
    assert [row.get_id() for row in gone] == [first] and gone[0].get_type() == "recycle"
    refused = body_of(contacts.get_record(first, ParameterMap(), HeaderMap()), 400)
    assert isinstance(refused, record.APIException) and code(refused) == "INVALID_DATA"


def refresh(environment, caches):
    """A refresh token alone is enough to go on."""
    token = OAuthToken(client_id="1000.SIMCLIENT", client_secret="sim-client-secret",
                       refresh_token="1000.sim-refresh-token", find_user=False)
    store = FileStore(os.path.join(caches, "refreshed.csv"))
    Initializer.initialize(environment, token, store, SDKConfig(), caches)
    body_of(org.OrgOperations().get_organization(), 200)


def run(base, caches):
    logging.getLogger("SDKLogger").addHandler(logging.NullHandler())
    environment = DataCenter.Environment(base, f"{base}/oauth/v2/token", base)
    # The code of a self client: the SDK exchanges it, and looks after the tokens from then on.
    token = OAuthToken(client_id="1000.SIMCLIENT", client_secret="sim-client-secret", grant_token="1000.sim-code",
                       find_user=False)
    Initializer.initialize(environment, token, FileStore(os.path.join(caches, "tokens.csv")), SDKConfig(), caches)
    settings()
    print("settings")
    make_field()
    make_module()
    print("field and module made")
    first = write()
    print("written")
    read(first)
    print("read, searched, queried")
    for step in (tag, note):
        step(first)
        print(step.__name__)
    for step in (convert, watch):
        step()
        print(step.__name__)
    delete(first)
    print("deleted")
    refresh(environment, caches)
    print("refreshed")


def main():
    caches = tempfile.mkdtemp(prefix="zoho-sdk-")
    try:
        run(sys.argv[1], caches)
    finally:
        shutil.rmtree(caches, ignore_errors=True)


if __name__ == "__main__":
    main()
