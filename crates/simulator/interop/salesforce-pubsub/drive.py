"""Drives grpc and fastavro, which nobody here wrote, against the simulated Pub/Sub API: SALESFORCE_URL, SALESFORCE_TOKEN.

Prints one line "ok: ..." for each thing that held; the first that does not ends the run with status 1.
"""

import io
import json
import os
import pathlib
import queue
import sys
import tempfile
import time
import urllib.request

import fastavro
import grpc
from grpc_tools import protoc

HERE = pathlib.Path(__file__).parent
MADE = tempfile.mkdtemp()
assert protoc.main(["", f"-I{HERE}", f"--python_out={MADE}", f"--grpc_python_out={MADE}", "pubsub_api.proto"]) == 0
sys.path.insert(0, MADE)
import pubsub_api_pb2 as pb  # noqa: E402
import pubsub_api_pb2_grpc as pbg  # noqa: E402

URL, TOKEN = os.environ["SALESFORCE_URL"], os.environ["SALESFORCE_TOKEN"]


def ask(path, body=None, method=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    request = urllib.request.Request(URL + path, data=data, headers=headers, method=method)
    with urllib.request.urlopen(request) as answer:
        text = answer.read()
    return json.loads(text) if text else None


org = ask("/services/oauth2/userinfo")["organization_id"]
who = (("accesstoken", TOKEN), ("instanceurl", URL), ("tenantid", org))
channel = grpc.insecure_channel(URL.removeprefix("http://"))
stub = pbg.PubSubStub(channel)
TOPIC = "/data/ContactChangeEvent"

topic = stub.GetTopic(pb.TopicRequest(topic_name=TOPIC), metadata=who)
assert topic.can_subscribe and topic.topic_name == TOPIC and topic.tenant_guid == org
schema = fastavro.parse_schema(json.loads(stub.GetSchema(pb.SchemaRequest(schema_id=topic.schema_id), metadata=who).schema_json))
assert schema["name"].endswith("ContactChangeEvent")
print("ok: topic and schema")


def code(work):
    try:
        work()
    except grpc.RpcError as error:
        return error.code()
    return None


wrong = (("accesstoken", "x"), ("instanceurl", URL), ("tenantid", org))
assert code(lambda: stub.GetTopic(pb.TopicRequest(topic_name=TOPIC), metadata=wrong)) == grpc.StatusCode.UNAUTHENTICATED
assert code(lambda: stub.GetTopic(pb.TopicRequest(topic_name="/data/None"), metadata=who)) == grpc.StatusCode.NOT_FOUND
print("ok: refusals")


class Subscription:
    def __init__(self, **first):
        self.asks = queue.Queue()
        self.asks.put(pb.FetchRequest(topic_name=TOPIC, **first))
        self.answers = stub.Subscribe(iter(self.asks.get, None), metadata=who)

    def events(self):
        answer = next(self.answers)
        for one in answer.events:
            found = fastavro.schemaless_reader(io.BytesIO(one.event.payload), schema)
            yield one.replay_id, found["ChangeEventHeader"]
        self.pending = answer.pending_num_requested


live = Subscription(num_requested=2)
# A stream tells what happens once it is open.
time.sleep(0.5)
made = ask("/_sim/records/Contact", {"records": [{"LastName": name} for name in "abc"]})["ids"]
told = []
while len(told) < 2:
    told += list(live.events())
assert [h["recordIds"] for _, h in told] == [[made[0]], [made[1]]], told
assert all(h["changeType"] == "CREATE" and h["entityName"] == "Contact" for _, h in told)
assert live.pending == 0
live.asks.put(pb.FetchRequest(topic_name=TOPIC, num_requested=1))
told += list(live.events())
assert told[2][1]["recordIds"] == [made[2]]
print("ok: events, no more than were asked for")

ask(f"/_sim/records/Contact/{made[0]}", method="DELETE")
again = Subscription(num_requested=10, replay_preset=pb.CUSTOM, replay_id=told[1][0])
seen = []
while len(seen) < 2:
    seen += [(h["changeType"], h["recordIds"][0]) for _, h in again.events()]
assert seen == [("CREATE", made[2]), ("DELETE", made[0])], seen
print("ok: from a place on")

bad = Subscription(num_requested=1, replay_preset=pb.CUSTOM, replay_id=b"nonsense")
assert code(lambda: next(bad.answers)) == grpc.StatusCode.INVALID_ARGUMENT
assert code(lambda: next(Subscription(num_requested=101).answers)) == grpc.StatusCode.INVALID_ARGUMENT
ask("/_sim/end_streams", method="POST")
assert code(lambda: next(again.answers)) == grpc.StatusCode.UNAVAILABLE
print("ok: ends")
