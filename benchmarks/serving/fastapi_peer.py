"""The peer of load.py: onnxruntime behind FastAPI, as a tutorial would have it. MODEL_ONNX names the model."""

import os

import numpy as np
import onnxruntime
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["MODEL_ONNX"], options)
app = FastAPI()


class Rows(BaseModel):
    pixels: list[list[list[list[int]]]]


@app.post("/predict")
def predict(rows: Rows):
    x = np.asarray(rows.pixels, np.uint8)
    return {"probabilities": session.run(["probabilities"], {"pixels": x})[0].tolist()}


@app.post("/binary")
async def binary(request: Request):
    x = np.frombuffer(await request.body(), np.uint8).reshape(-1, 1, 28, 28)
    probabilities = session.run(["probabilities"], {"pixels": x})[0]
    return Response(probabilities.tobytes(), media_type="application/octet-stream")
