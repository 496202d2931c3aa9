"""Sends everything through Ponte with pywa, as its users do. Prints what was sent and which errors were raised, as JSON."""

import hashlib
import json
import os
import pathlib
import tempfile

import httpx
from pywa import WhatsApp, errors, types
from pywa.types.templates import BodyText, CopyCodeButton, HeaderImage, TemplateLanguage

BASE = os.environ["PONTE_URL"] + "/v26.0"
NUMBER, TO, THEIRS = os.environ["PONTE_NUMBER"], os.environ["TO"], os.environ["THEIRS"]
PICTURE = bytes.fromhex(os.environ["PICTURE"])


def client(key: str) -> WhatsApp:
    session = httpx.Client(trust_env=False, timeout=20)
    made = WhatsApp(phone_id=NUMBER, token=key, session=session)
    # The constructor sets Meta's address, whatever the session had.
    session.base_url = BASE
    return made


wa = client(os.environ["PONTE_KEY"])
sent: dict[str, str] = {}
sent["text"] = wa.send_message(TO, "a text by pywa").id
sent["reply"] = wa.send_message(TO, "a reply by pywa", reply_to_message_id=THEIRS).id
buttons = [types.Button("Yes", callback_data="yes"), types.Button("No", callback_data="no")]
sent["buttons"] = wa.send_message(TO, "Shall we?", footer="by pywa", buttons=buttons).id
rows = [types.SectionRow("Small", callback_data="s", description="30 cm"), types.SectionRow("Large", callback_data="l")]
sections = types.SectionList("Sizes", sections=[types.Section("Pots", rows=rows)])
sent["list"] = wa.send_message(TO, "Which size?", header="Pots", buttons=sections).id
sent["image by link"] = wa.send_image(TO, "https://shop.example/a.png", caption="linked").id
sent["location"] = wa.send_location(TO, latitude=-33.45, longitude=-70.66, name="Shop", address="Main street 1").id
card = types.Contact(
    name=types.Contact.Name(formatted_name="Ana Souza", first_name="Ana"),
    phones=[types.Contact.Phone(phone="+4915111000001", type="WORK")],
)
sent["contacts"] = wa.send_contact(TO, card).id
sent["reaction"] = wa.send_reaction(TO, emoji="\N{THUMBS UP SIGN}", message_id=THEIRS).id
params = [BodyText.params("Tuesday", "10:30")]
sent["template"] = wa.send_template(TO, "appointment_reminder", TemplateLanguage.ENGLISH_US, params).id
assert wa.mark_message_as_read(THEIRS)
assert wa.indicate_typing(THEIRS)

# A file: up, told, down, sent, gone.
media = wa.upload_media(PICTURE, mime_type="image/png", filename="a.png")
told = wa.get_media_url(media.id)
assert (told.id, told.mime_type, int(told.file_size)) == (media.id, "image/png", len(PICTURE)), told
assert told.sha256 == hashlib.sha256(PICTURE).hexdigest()
assert told.url.startswith(os.environ["PONTE_URL"]), told.url
assert wa.get_media_bytes(told.url) == PICTURE
with tempfile.TemporaryDirectory() as folder:
    saved = wa.download_media(url=told.url, path=folder, filename="a.png")
    assert pathlib.Path(saved).read_bytes() == PICTURE
sent["image by id"] = wa.send_image(TO, media.id, caption="uploaded").id
doomed = wa.upload_media(PICTURE, mime_type="image/png", filename="b.png")
assert wa.delete_media(doomed.id)

raised: dict[str, str] = {}


def refused(name: str, call) -> None:
    try:
        call()
    except errors.WhatsAppError as error:
        assert error.message and error.fbtrace_id, error
        raised[name] = f"{type(error).__name__} {error.code}"


refused("window", lambda: wa.send_message(os.environ["STRANGER"], "no window"))
promotion = [
    HeaderImage.params(image="https://shop.example/a.png"),
    BodyText.params("Ana", "25OFF"),
    CopyCodeButton.params(coupon_code="25OFF", index=0),
]
refused("marketing", lambda: wa.send_template(TO, "spring_sale", TemplateLanguage.ENGLISH_US, promotion))
refused("template", lambda: wa.send_template(TO, "appointment_reminder", TemplateLanguage.ENGLISH_US))
refused("no such template", lambda: wa.send_template(TO, "never_made", TemplateLanguage.ENGLISH_US))
refused("number", lambda: wa.send_message(TO, "from nobody", sender="999"))
refused("nobody", lambda: wa.send_message("12", "no phone number"))
refused("key", lambda: client("wrong").send_message(TO, "no key"))
refused("file", lambda: wa.get_media_url(doomed.id))
refused("identity", lambda: wa.send_message(TO, "checked", identity_key_hash="DF2lS5v2W6x="))
print(json.dumps({"sent": sent, "raised": raised}))
