"""A gRPC server that answers every call with its colour: grpc_upstream.py COLOUR. Prints where it listens."""

import sys
from concurrent import futures

import grpc


class Everything(grpc.GenericRpcHandler):
    def service(self, call):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: sys.argv[1].encode())


server = grpc.server(futures.ThreadPoolExecutor(max_workers=2), handlers=[Everything()])
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(f"listening at 127.0.0.1:{port}", flush=True)
server.wait_for_termination()
