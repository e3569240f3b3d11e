"""A gRPC client that makes as many calls as each line of its input says, and prints the answers by colour as JSON.

grpc_client.py TARGET, with GRPC_XDS_BOOTSTRAP in the environment for a target like xds:///NAME.
"""

import collections
import json
import sys

import grpc

channel = grpc.insecure_channel(sys.argv[1])
call = channel.unary_unary("/test.Service/Call")
for line in sys.stdin:
    answers = collections.Counter(blue=0, green=0, failed=0)
    for _ in range(int(line)):
        try:
            answers[call(b"", timeout=10, wait_for_ready=True).decode()] += 1
        except grpc.RpcError as error:
            print(error, file=sys.stderr)
            answers["failed"] += 1
    print(json.dumps(answers), flush=True)
