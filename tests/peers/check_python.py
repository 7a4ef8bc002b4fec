# SPDX-License-Identifier: Apache-2.0
"""The Python package inside sentence-transformers, mteb, LlamaIndex, Haystack, LangChain and
scikit-learn themselves, of PyPI. Prints their versions and the figures of docs/python.md."""
import importlib.metadata
import inspect
import os
import sys
import tempfile
import warnings

warnings.filterwarnings("ignore")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TQDM_DISABLE", "1")

import numpy as np

import fathom
import fathom.mteb
from fathom.sentence_transformers import Fathom

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
FINCH = os.path.join(ROOT, "models", "finch-embed")
DATA = os.path.join(os.environ["FATHOM_SHARED"], "data")
TEXTS = ["The cat sat on the mat.", "A dog ran off over there.", "Birds sing.", "x"]
failures = []


def check(what, ok, detail=""):
    print(f"  {what:<64} {detail} {'ok' if ok else 'FAILED'}")
    if not ok:
        failures.append(what)


def refuses(what, work, kind):
    try:
        work()
    except kind as error:
        check(what, True, f"({str(error)[:60]})")
    else:
        check(what, False)


def sentence_transformers(plain):
    from sentence_transformers import SentenceTransformer

    m = SentenceTransformer(modules=[Fathom(FINCH, layer=3)])
    want = plain.encode(TEXTS, layers=3)
    got = m.encode(TEXTS)
    check("encode", np.array_equal(got, want))
    check("layer= of encode", np.array_equal(m.encode(TEXTS, layer=2), plain.encode(TEXTS, layers=2)))
    check("depth= of encode", np.array_equal(m.encode(TEXTS, depth="fixed:2"),
                                             plain.encode(TEXTS, layers=2)))
    prompted = plain.encode(["q: " + t for t in TEXTS], layers=3)
    check("prompt", np.array_equal(m.encode(TEXTS, prompt="q: "), prompted))
    named = SentenceTransformer(modules=[Fathom(FINCH, layer=3)],
                                prompts={"query": "q: ", "document": "d: "})
    check("prompts, encode_query", np.array_equal(named.encode_query(TEXTS), prompted))
    check("prompts, encode_document", np.array_equal(
        named.encode_document(TEXTS), plain.encode(["d: " + t for t in TEXTS], layers=3)))
    unit = plain.encode(TEXTS, layers=3, normalize=True)
    check("similarity", np.allclose(m.similarity(got, got), unit @ unit.T, atol=1e-5))
    check("truncate_dim", np.array_equal(m.encode(TEXTS, truncate_dim=64), want[:, :64]))
    check("normalize_embeddings", np.allclose(m.encode(TEXTS, normalize_embeddings=True), unit,
                                              atol=1e-6))
    dtypes = {"float32": "float32", "int8": "int8", "uint8": "uint8", "binary": "int8",
              "ubinary": "uint8"}
    check("precisions", all(str(m.encode(TEXTS * 40, precision=p).dtype) == d
                            for p, d in dtypes.items()))
    check("convert_to_tensor", np.array_equal(m.encode(TEXTS, convert_to_tensor=True).numpy(), want))
    check("one str", np.array_equal(m.encode(TEXTS[0]), want[0]))
    check("many texts, of every length", np.array_equal(
        m.encode(TEXTS * 100), plain.encode(TEXTS * 100, layers=3)))
    pool = m.start_multi_process_pool(["cpu", "cpu"])
    check("multi-process pool", np.array_equal(m.encode(TEXTS * 20, pool=pool),
                                               plain.encode(TEXTS * 20, layers=3)))
    m.stop_multi_process_pool(pool)
    with tempfile.TemporaryDirectory() as folder:
        m.save(folder)
        again = SentenceTransformer(folder, trust_remote_code=True)
        check("save and load", np.array_equal(again.encode(TEXTS), want))
    shipped = SentenceTransformer(FINCH, trust_remote_code=True)
    check("models/finch-embed opens, at layer 3", np.array_equal(shipped.encode(TEXTS), want))


def local_rows(task):
    """(a, b, score) of every pair that `fathom eval` reports, from the files themselves."""
    def lines(*parts):
        with open(os.path.join(DATA, *parts), encoding="utf-8", errors="replace") as f:
            return [line.rstrip("\r\n") for line in f.read().split("\n")]

    if task == "STSBenchmark":
        rows = [line.split("\t") for line in lines("glue", "STS-B", "original", "sts-test.tsv")]
        return [(r[5], r[6], float(r[4])) for r in rows if len(r) >= 7]
    if task == "SICK-R":
        rows = [line.split("\t") for line in lines("sick", "SICK_test_annotated.txt")[1:]]
        return [(r[1], r[2], float(r[3])) for r in rows if len(r) >= 5]
    folder, found = os.path.join(DATA, "sts", task), []
    for name in sorted(os.listdir(folder)):
        gold = name.replace("STS.input.", "STS.gs.")
        if not (name.startswith("STS.input.") and name.endswith(".txt")):
            continue
        for row, score in zip(lines("sts", task, name), lines("sts", task, gold)):
            if row and score.strip():
                a, b = row.split("\t")[:2]
                found.append((a, b, float(score)))
    return found


def mteb_tasks():
    import datasets
    import mteb
    from mteb.mocks.mock_run import mock_run

    model = fathom.mteb.model(FINCH, layer=3, license="cc-by-sa-4.0")
    results = {n: r for n, r in mock_run(model).task_results.items() if r is not None}
    bad = [n for n, r in results.items() if type(r).__name__ != "TaskResult"]
    check("mock tasks that apply", not bad, f"{len(results)} {bad or ''}")
    names = {"STSBenchmark": "stsb", "SICK-R": "sickr", "STS12": "sts12", "STS13": "sts13",
             "STS14": "sts14", "STS15": "sts15"}
    ours = fathom.evaluate(FINCH, list(names.values()), data=DATA, split="test", layers="3",
                           timing=False, bootstrap=10)
    for name, mine in names.items():
        task = mteb.get_task(name)
        a, b, score = zip(*local_rows(name))
        rows = datasets.Dataset.from_dict({"sentence1": a, "sentence2": b, "score": score})
        task.dataset = {"default": datasets.DatasetDict({"test": rows})}
        if "default" not in task.hf_subsets:
            task.dataset = {task.hf_subsets[0]: task.dataset["default"]}
        task.data_loaded = True
        task.load_data = lambda *args, **kwargs: None
        result = mteb.evaluate(model, task, cache=None, show_progress_bar=False)
        got = result.task_results[0].get_score()
        want = ours[mine].score(3)
        # Pairs of equal sentences have cosine 1 up to rounding, by which one program ranks them and
        # the other does not.
        equal = sum(x == y for x, y in zip(a, b))
        check(f"{name}, {len(a)} pairs ({equal} of equal sentences): main_score of mteb and ours",
              len(a) == ours[mine].n and abs(got - want) <= (5e-6 if equal else 1e-6),
              f"{got:.7f} {want:.7f}")


def llama_index(plain):
    from llama_index.core import Document, VectorStoreIndex

    from fathom.llama_index import FathomEmbedding

    e = FathomEmbedding(path=FINCH, layer=3)
    want = plain.encode(TEXTS, layers=3, normalize=True)
    check("get_text_embedding_batch", np.allclose(e.get_text_embedding_batch(TEXTS), want))
    check("get_query_embedding", np.allclose(e.get_query_embedding(TEXTS[0]), want[0]))
    import asyncio

    check("aget_text_embedding", np.allclose(asyncio.run(e.aget_text_embedding(TEXTS[1])), want[1]))
    index = VectorStoreIndex.from_documents([Document(text=t) for t in TEXTS], embed_model=e)
    found = index.as_retriever(similarity_top_k=1).retrieve("A cat sat on the mat.")
    check("VectorStoreIndex", found[0].node.get_content() == TEXTS[0])
    check("to_dict and back", np.allclose(
        FathomEmbedding.from_dict(e.to_dict()).get_text_embedding(TEXTS[0]), want[0]))
    refuses("a layer that is not there", lambda: FathomEmbedding(path=FINCH, layer=77),
            fathom.OptionError)


def haystack(plain):
    from haystack import Document, Pipeline
    from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    from fathom.haystack import FathomDocumentEmbedder, FathomTextEmbedder

    want = plain.encode(TEXTS, layers=3, normalize=True)
    documents = FathomDocumentEmbedder(FINCH, layer=3).run(
        documents=[Document(content=t) for t in TEXTS])["documents"]
    check("FathomDocumentEmbedder", np.allclose([d.embedding for d in documents], want))
    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    store.write_documents(documents)
    pipeline = Pipeline()
    pipeline.add_component("text", FathomTextEmbedder(FINCH, layer=3))
    trusted = {}
    if "allowed_modules" in inspect.signature(Pipeline.loads).parameters:  # 3
        trusted = {"allowed_modules": ["fathom.haystack"]}
    loaded = Pipeline.loads(pipeline.dumps(), **trusted)
    vector = loaded.run({"text": {"text": TEXTS[0]}})["text"]["embedding"]
    check("FathomTextEmbedder in a Pipeline, through YAML", np.allclose(vector, want[0]))
    pipeline.add_component("find", InMemoryEmbeddingRetriever(store, top_k=1))
    pipeline.connect("text.embedding", "find.query_embedding")
    found = pipeline.run({"text": {"text": "A cat sat on the mat."}})["find"]["documents"]
    check("retrieval", found[0].content == TEXTS[0])


def tokens_and_states():
    """Token ids and hidden states beside transformers' own, from Python."""
    import torch
    import transformers

    shared = os.environ["FATHOM_SHARED"]
    folder = os.path.join(shared, "golden", "v4_hf")
    if not os.path.isdir(folder):
        return print("  no golden/v4_hf")
    place = next((os.path.join(d, "") for d, _, files in os.walk(folder)
                  if "config.json" in files), None)
    if place is None:
        return print("  no config.json in golden/v4_hf")
    ours = fathom.Model(place)
    if not hasattr(transformers, "RwkvModel"):
        return print(f"  transformers {transformers.__version__} has no RwkvModel")
    theirs = transformers.RwkvModel.from_pretrained(place, dtype=torch.float32).eval()
    ids = [int(i) for i in np.random.default_rng(3).integers(0, ours.info().n_vocab, 17)]
    with torch.no_grad():
        want = theirs(torch.tensor([ids]), output_hidden_states=True).hidden_states
    mine = ours.hidden_states(ids)
    every, worst = theirs.config.rescale_every, 0.0  # outputs are halved every so many blocks
    for i in range(ours.info().n_layer):
        true = want[i][0].numpy() * 2.0 ** ((i + 1) // every if every else 0)
        worst = max(worst, float(np.abs(mine[i + 1] - true).max() / np.abs(true).max()))
    check("RWKV-4: hidden states of transformers' RwkvModel", worst <= 1e-4, f"{worst:.1e}")
    if os.path.exists(os.path.join(place, "tokenizer.json")):
        tokenizer = transformers.AutoTokenizer.from_pretrained(place)
        same = all(ours.tokenize(t) == tokenizer(t)["input_ids"] for t in TEXTS + ["Ünïcode 猫\n"])
        check("RWKV-4: token ids of transformers' tokenizer", same)


def main():
    for package in ("sentence-transformers", "mteb", "transformers", "torch", "llama-index-core",
                    "haystack-ai", "langchain-core", "scikit-learn", "numpy"):
        print(f"{package} {importlib.metadata.version(package)}")
    plain = fathom.Model(FINCH)
    for name, part in (("sentence-transformers", lambda: sentence_transformers(plain)),
                       ("mteb", mteb_tasks), ("LlamaIndex", lambda: llama_index(plain)),
                       ("Haystack", lambda: haystack(plain)), ("transformers", tokens_and_states)):
        print(name)
        try:
            part()
        except Exception as error:  # the others are still worth a look
            import traceback

            traceback.print_exc()
            failures.append(f"{name}: {error}")
    sys.exit(f"{len(failures)} checks failed: {failures}" if failures else 0)


if __name__ == "__main__":
    main()
