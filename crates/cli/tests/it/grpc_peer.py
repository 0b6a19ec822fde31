"""Sends the same requests for the model `digits` to the server at ADDRESS over gRPC and HTTP; fails if the answers differ."""

import sys

import grpc
import numpy as np
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http
from tritonclient.grpc import service_pb2 as messages
from tritonclient.grpc import service_pb2_grpc as calls

address = sys.argv[1]
client, other = over_grpc.InferenceServerClient(address), over_http.InferenceServerClient(address)
pixels = (np.arange(3 * 64) * 7 % 17).astype(np.uint8).reshape(3, 1, 8, 8)


def ask(package, client, **more):
    tensor = package.InferInput("pixels", list(pixels.shape), "UINT8")
    tensor.set_data_from_numpy(pixels)
    return client.infer("digits", [tensor], **more)


assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("digits")
assert "classification" in client.get_server_metadata().extensions
metadata = client.get_model_metadata("digits")
assert (metadata.inputs[0].name, list(metadata.inputs[0].shape)) == ("pixels", [-1, 1, 8, 8])
answer, wanted = ask(over_grpc, client, request_id="7"), ask(over_http, other)
for name in ("probabilities", "label", "class"):
    found, expected = answer.as_numpy(name), wanted.as_numpy(name)
    assert found.shape == expected.shape and found.tobytes() == expected.tobytes() or name == "class", name
    assert found.tolist() == expected.tolist(), name
assert answer.get_response().id == "7"
best = ask(over_grpc, client, outputs=[over_grpc.InferRequestedOutput("probabilities", class_count=2)])
assert best.as_numpy("probabilities").shape == (3, 2)

# Values in the fields of their types, and wrong requests.
stub = calls.GRPCInferenceServiceStub(grpc.insecure_channel(address))
Input = messages.ModelInferRequest.InferInputTensor


def typed(datatype="UINT8", shape=(3, 64), model="digits", **contents):
    tensor = Input(name="pixels", datatype=datatype, shape=shape, contents=messages.InferTensorContents(**contents))
    return stub.ModelInfer(messages.ModelInferRequest(model_name=model, inputs=[tensor]))


levels = pixels.ravel().tolist()
for datatype, field in (("UINT8", "uint_contents"), ("INT64", "int64_contents"), ("FP32", "fp32_contents")):
    raw = typed(datatype, **{field: levels}).raw_output_contents[0]
    assert raw == wanted.as_numpy("probabilities").tobytes(), datatype
for words, status, call in (
    ("there is no model", grpc.StatusCode.NOT_FOUND, lambda: typed(model="none", uint_contents=levels)),
    ("a shape", grpc.StatusCode.INVALID_ARGUMENT, lambda: typed(shape=(-1, 64), uint_contents=levels)),
    ("192 values", grpc.StatusCode.INVALID_ARGUMENT, lambda: typed(uint_contents=levels[1:])),
    ("unknown variant", grpc.StatusCode.INVALID_ARGUMENT, lambda: typed("FP8", uint_contents=levels)),
    ("no call", grpc.StatusCode.UNIMPLEMENTED, lambda: stub.RepositoryIndex(messages.RepositoryIndexRequest())),
):
    try:
        call()
        raise SystemExit(f"answered: {words}")
    except grpc.RpcError as error:
        assert error.code() == status and words in error.details(), error
print("the same")
