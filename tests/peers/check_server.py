# SPDX-License-Identifier: Apache-2.0
"""Clients of PyPI against the running program, unchanged: openai, huggingface_hub, langchain-openai,
llama-index, chromadb, and schemathesis over /openapi.json where it is installed.

  FATHOM=build/release/fathom python3 tests/peers/check_server.py [MODEL]
"""
import asyncio
import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXTS = ["The cat sat on the mat.", "A dog ran off."]


class Server:
    def __init__(self, model):
        self.log = tempfile.NamedTemporaryFile("w+", suffix=".log")
        self.process = subprocess.Popen(
            [os.environ["FATHOM"], "serve", f"tiny={model}", "--port", "0", "--policy", "short=fixed:2"],
            stderr=self.log)
        for _ in range(600):
            found = re.search(r"listening at (http://\S+),", pathlib.Path(self.log.name).read_text())
            if found and "ready after" in pathlib.Path(self.log.name).read_text():
                self.url = found[1]
                return
            time.sleep(0.1)
        raise SystemExit(pathlib.Path(self.log.name).read_text())

    def stop(self):
        self.process.terminate()
        return self.process.wait(60)


def close(a, b):
    return len(a) == len(b) and max(abs(x - y) for x, y in zip(a, b)) < 1e-6


def check_openai(url):
    import openai
    client = openai.OpenAI(base_url=url + "/v1", api_key="none")
    reply = client.embeddings.create(model="tiny", input=TEXTS)  # asks for base64
    plain = client.embeddings.create(model="tiny", input=TEXTS, encoding_format="float",
                                     extra_body={"layer": 2})
    short = client.embeddings.create(model="tiny", input=TEXTS[0], dimensions=8)
    assert len(reply.data) == 2 and len(short.data[0].embedding) == 8
    assert not close(reply.data[0].embedding, plain.data[0].embedding)
    assert [m.id for m in client.models.list()] == ["tiny"]
    try:
        client.embeddings.create(model="other", input="x")
        raise AssertionError("an unknown model was taken")
    except openai.NotFoundError as e:
        assert e.code == "model_not_found", e

    async def again():
        async with openai.AsyncOpenAI(base_url=url + "/v1", api_key="none") as other:
            return await asyncio.gather(*(other.embeddings.create(model="tiny", input=t)
                                          for t in TEXTS * 8))

    for i, r in enumerate(asyncio.run(again())):
        assert r.data[0].embedding == reply.data[i % 2].embedding
    return reply.data[0].embedding


def check_huggingface_hub(url, expected):
    from huggingface_hub import InferenceClient
    client = InferenceClient(model=url)
    vector = client.feature_extraction(TEXTS[0])
    assert close([float(x) for x in vector.reshape(-1)], expected)
    scores = client.sentence_similarity(TEXTS[0], other_sentences=TEXTS, model=url + "/similarity")
    assert abs(scores[0] - 1) < 1e-6 and scores[1] < 1


def check_langchain_openai(url, expected):
    from langchain_openai import OpenAIEmbeddings
    e = OpenAIEmbeddings(model="tiny", base_url=url + "/v1", api_key="none",
                         check_embedding_ctx_length=False)
    assert close(e.embed_query(TEXTS[0]), expected)


def check_llama_index_openai(url, expected):
    from llama_index.embeddings.openai import OpenAIEmbedding
    e = OpenAIEmbedding(model_name="tiny", api_base=url + "/v1", api_key="none")
    assert close(e.get_text_embedding(TEXTS[0]), expected)


def check_llama_index_tei(url, expected):
    from llama_index.embeddings.text_embeddings_inference import TextEmbeddingsInference
    e = TextEmbeddingsInference(model_name="tiny", base_url=url)
    assert close(e.get_text_embedding_batch(TEXTS)[0], expected)


def check_chromadb(url, expected):
    from chromadb.utils.embedding_functions import OpenAIEmbeddingFunction
    embed = OpenAIEmbeddingFunction(api_key="none", api_base=url + "/v1", model_name="tiny")
    vectors = embed(TEXTS)
    assert len(vectors) == 2 and close([float(x) for x in vectors[0]], expected)


def check_schemathesis(url):
    out = subprocess.run([sys.executable, "-m", "schemathesis.cli", "run", url + "/openapi.json",
                          "--max-examples", "25",
                          # Fields that exclude each other are more than a schema says.
                          "--exclude-checks", "positive_data_acceptance"],
                         capture_output=True, text=True)
    assert out.returncode == 0, out.stdout[-4000:] + out.stderr[-2000:]


def main():
    server = Server(sys.argv[1] if len(sys.argv) > 1 else ROOT / "models/finch-embed")
    failed = False
    expected = None
    checks = [("openai", check_openai), ("huggingface_hub", check_huggingface_hub),
              ("langchain_openai", check_langchain_openai),
              ("llama_index.embeddings.openai", check_llama_index_openai),
              ("llama_index.embeddings.text_embeddings_inference", check_llama_index_tei),
              ("chromadb", check_chromadb), ("schemathesis", check_schemathesis)]
    for name, check in checks:
        try:
            found = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            found = None
        if not found:
            print(f"{name}: not installed, not checked")
            continue
        try:
            if name == "openai":
                expected = check(server.url)
            elif name == "schemathesis":
                check(server.url)
            else:
                check(server.url, expected)
            print(f"{name}: as it is")
        except Exception as e:  # the next client is checked all the same
            failed = True
            print(f"{name}: FAILED: {type(e).__name__}: {e}")
    code = server.stop()
    print(f"SIGTERM: exit code {code}")
    return 1 if failed or code else 0


if __name__ == "__main__":
    sys.exit(main())
