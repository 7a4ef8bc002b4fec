# SPDX-License-Identifier: Apache-2.0
"""Adapters: against scikit-learn, LangChain and joblib themselves where they are installed, and the
others, which bring torch with them, against small stand-ins of the interfaces that they implement.
tests/peers/run.sh python runs them against the packages."""

from __future__ import annotations

import json
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fathom
from conftest import FINCH

TEXTS = ["The cat sat on the mat.", "A dog ran off.", "Birds sing.", "The cat slept."]


def module(monkeypatch: pytest.MonkeyPatch, name: str, **names: Any) -> types.ModuleType:
    """A stand-in for a module, with the packages around it."""
    parts = name.split(".")
    for i in range(1, len(parts)):
        package = ".".join(parts[:i])
        if package not in sys.modules:
            empty = types.ModuleType(package)
            monkeypatch.setitem(sys.modules, package, empty)
            if i > 1:
                monkeypatch.setattr(sys.modules[".".join(parts[: i - 1])], parts[i - 1], empty,
                                    raising=False)
    made = types.ModuleType(name)
    for key, value in names.items():
        setattr(made, key, value)
    monkeypatch.setitem(sys.modules, name, made)
    if len(parts) > 1:
        monkeypatch.setattr(sys.modules[".".join(parts[:-1])], parts[-1], made, raising=False)
    return made


def adapter(monkeypatch: pytest.MonkeyPatch, name: str) -> Any:
    import importlib

    monkeypatch.delitem(sys.modules, f"fathom.{name}", raising=False)
    return importlib.import_module(f"fathom.{name}")


# -- scikit-learn


def test_sklearn_pipeline(finch: fathom.Model) -> None:
    pytest.importorskip("sklearn")
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline

    from fathom.sklearn import FathomTransformer

    t = FathomTransformer(str(FINCH), layer=3, normalize=True, threads=1)
    want = finch.encode(TEXTS, layers=3, normalize=True)
    assert np.array_equal(t.fit_transform(TEXTS), want)
    assert np.array_equal(t.transform(np.array(TEXTS, object)), want)
    assert t.get_feature_names_out()[:2].tolist() == ["fathomtransformer0", "fathomtransformer1"]
    assert len(t.get_feature_names_out()) == 192
    assert clone(t).get_params() == t.get_params()
    assert np.array_equal(pickle.loads(pickle.dumps(t)).transform(TEXTS), want)
    assert FathomTransformer(str(FINCH), layer=1, threads=1).fit().model_ is t.model_
    labels = [1, 0, 0, 1] * 6
    texts = [f"{text} {i}" for i, text in enumerate(TEXTS * 6)]
    pipe = make_pipeline(FathomTransformer(str(FINCH), threads=1), LogisticRegression())
    search = GridSearchCV(pipe, {"fathomtransformer__layer": [0, 3, "final"]}, cv=3, n_jobs=1)
    search.fit(texts, labels)
    assert search.best_score_ > 0.8
    assert set(search.predict(texts)) == {0, 1}


def test_sklearn_says_what_is_wrong() -> None:
    sklearn = pytest.importorskip("sklearn")
    from fathom.sklearn import FathomTransformer

    with pytest.raises(sklearn.exceptions.NotFittedError):
        FathomTransformer(str(FINCH)).transform(TEXTS)
    with pytest.raises(fathom.OptionError, match="layer"):
        FathomTransformer(str(FINCH), layer=77, threads=1).fit()
    with pytest.raises(fathom.FileError):
        FathomTransformer("nowhere/at/all").fit()


# -- LangChain


def test_langchain(finch: fathom.Model) -> None:
    pytest.importorskip("langchain_core")
    import asyncio

    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import InMemoryVectorStore

    from fathom.langchain import FathomEmbeddings

    e = FathomEmbeddings(FINCH, layer=3, query_prompt="q: ", threads=1)
    assert isinstance(e, Embeddings)
    assert np.allclose(e.embed_documents(TEXTS), finch.encode(TEXTS, layers=3, normalize=True))
    want = finch.encode("q: " + TEXTS[0], layers=3, normalize=True)
    assert np.allclose(e.embed_query(TEXTS[0]), want)
    assert asyncio.run(e.aembed_query(TEXTS[0])) == e.embed_query(TEXTS[0])
    assert e.embed_documents([""]) == [[0.0] * 192] and e.embed_documents([]) == []
    store = InMemoryVectorStore(FathomEmbeddings(finch, layer=3))
    store.add_texts(TEXTS)
    assert store.similarity_search("The cat sat on a mat.", k=1)[0].page_content == TEXTS[0]
    with pytest.raises(fathom.OptionError):
        FathomEmbeddings(finch, layer=77)


# -- stand-ins


class StandInModule:
    """What sentence-transformers' Module is to its subclasses, without torch."""

    config_file_name = "config.json"
    config_keys: list[str] = []
    forward_kwargs: set[str] = set()

    def save_config(self, output_path: str) -> None:
        import json

        Path(output_path, self.config_file_name).write_text(
            json.dumps(self.get_config_dict()))  # type: ignore[attr-defined]

    @classmethod
    def load_config(cls, path: str, subfolder: str = "", **kwargs: Any) -> dict[str, Any]:
        import json

        config: dict[str, Any] = json.loads(Path(path, subfolder, cls.config_file_name).read_text())
        return config


def test_sentence_transformers(
    finch: fathom.Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module(monkeypatch, "torch", from_numpy=lambda x: x)
    module(monkeypatch, "sentence_transformers.base.modules", InputModule=StandInModule)
    st = adapter(monkeypatch, "sentence_transformers")
    m = st.Fathom(FINCH, layer=3, threads=1)

    def encode(module: Any, texts: list[str], prompt: str | None = None, **kwargs: Any) -> Any:
        features = module.preprocess(texts, prompt=prompt, **kwargs)
        return module.forward(features, **kwargs)["sentence_embedding"]

    assert np.array_equal(encode(m, TEXTS), finch.encode(TEXTS, layers=3))
    assert np.array_equal(encode(m, TEXTS, layer=1), finch.encode(TEXTS, layers=1))
    assert np.array_equal(encode(m, TEXTS, depth="fixed:2"), finch.encode(TEXTS, layers=2))
    prompted = finch.encode(["q: " + t for t in TEXTS], layers=3)
    assert np.array_equal(encode(m, TEXTS, prompt="q: "), prompted)
    with pytest.raises(fathom.OptionError, match="expected one of them"):
        encode(m, TEXTS, layer=1, depth="fixed:2")
    assert m.get_embedding_dimension() == 192 and m.forward_kwargs == {"layer", "depth"}
    m.save(str(tmp_path))
    assert {"fathom.json", "model.safetensors", "vocab.txt", "config.json"} <= {
        p.name for p in tmp_path.iterdir()}
    again = st.Fathom.load(str(tmp_path), token=None, local_files_only=True)
    # What others keep in fathom.json goes along, and a file without a reading is none.
    config = json.loads((tmp_path / "fathom.json").read_text())
    (tmp_path / "fathom.json").write_text(json.dumps({**config, "prompts": {"query": "Q: "}}))
    (tmp_path / "copy").mkdir()
    for place in (tmp_path / "copy", tmp_path):  # elsewhere, and in its own place
        st.Fathom.load(str(tmp_path)).save(str(place))
        written = json.loads((place / "fathom.json").read_text())
        assert written == {**config, "prompts": {"query": "Q: "}}
    (tmp_path / "copy" / "fathom.json").write_text('{"prompts": {"query": "Q: "}}')
    assert st.Fathom.load(str(tmp_path / "copy")).layer is None
    (tmp_path / "copy" / "fathom.json").write_text('{"recommended": {"layers": 3}}')
    with pytest.raises(fathom.FileError, match="recommended.layers: expected a text, got 3"):
        st.Fathom.load(str(tmp_path / "copy"))
    assert again.layer == 3 and np.array_equal(encode(again, TEXTS), encode(m, TEXTS))
    shipped = st.Fathom.load(str(FINCH), model_kwargs={"threads": 1, "torch_dtype": "auto"})
    assert np.array_equal(encode(shipped, TEXTS), encode(m, TEXTS))


def test_mteb(finch: fathom.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = dict.fromkeys(["name", "revision", "n_parameters", "embed_dim", "framework",
                            "experiment_kwargs", "languages", "license"])

    class ModelMeta:
        model_fields = fields

        def __init__(self, **given: Any) -> None:
            assert set(given) <= set(fields)
            self.__dict__.update(given)

    module(monkeypatch, "torch", from_numpy=lambda x: x)
    module(monkeypatch, "mteb.models.model_meta", ModelMeta=ModelMeta)
    module(monkeypatch, "mteb.models.abs_encoder", AbsEncoder=object)
    m = adapter(monkeypatch, "mteb").model(FINCH, layer=3, threads=1, license="cc-by-sa-4.0")
    meta = m.mteb_model_meta
    assert meta.name == "fathom/finch-embed" and len(meta.revision) == 40
    assert meta.embed_dim == 192 and meta.framework == ["safetensors"]
    assert meta.experiment_kwargs == {"pooling": "mean", "norm": "none", "scan": "forward",
                                      "layer": 3}
    assert meta.license == "cc-by-sa-4.0" and meta.n_parameters == finch.info().n_parameter
    want = finch.encode(TEXTS, layers=3)
    batches = [{"text": TEXTS[:3]}, {"text": TEXTS[3:]}]
    assert np.array_equal(
        m.encode(batches, task_metadata=None, hf_split="test", hf_subset="default"), want)
    assert np.array_equal(m.encode(TEXTS, task_name="STS12"), want)
    unit = finch.encode(TEXTS, layers=3, normalize=True)
    assert np.allclose(m.similarity(want, want), unit @ unit.T, atol=1e-6)
    assert np.allclose(m.similarity_pairwise(want, want[::-1]), (unit * unit[::-1]).sum(1), atol=1e-6)


def test_haystack(finch: fathom.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import dataclass, field

    @dataclass
    class Document:
        content: str | None = None
        meta: dict[str, Any] = field(default_factory=dict)
        embedding: list[float] | None = None

    def component(cls: Any) -> Any:
        return cls

    component.output_types = lambda **kwargs: lambda f: f  # type: ignore[attr-defined]
    module(
        monkeypatch, "haystack", Document=Document, component=component,
        default_to_dict=lambda self, **init: {"type": type(self).__name__, "init_parameters": init},
        default_from_dict=lambda cls, data: cls(**data["init_parameters"]),
    )
    h = adapter(monkeypatch, "haystack")
    text = h.FathomTextEmbedder(str(FINCH), layer=3, prefix="q: ", threads=1)
    want = finch.encode("q: " + TEXTS[0], layers=3, normalize=True)
    assert np.allclose(text.run(text=TEXTS[0])["embedding"], want)
    with pytest.raises(TypeError, match="FathomDocumentEmbedder"):
        text.run(text=[TEXTS[0]])
    documents = h.FathomDocumentEmbedder(str(FINCH), layer=3, meta_fields_to_embed=["title"],
                                         threads=1)
    again = h.FathomDocumentEmbedder.from_dict(documents.to_dict())
    made = again.run(documents=[Document("A dog.", {"title": "Dogs"}), Document("A cat.")])
    want = finch.encode(["Dogs\nA dog.", "A cat."], layers=3, normalize=True)
    assert np.allclose([d.embedding for d in made["documents"]], want)
    assert again.run(documents=[]) == {"documents": []}


def test_download(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []
    online = True

    class HfApi:
        def list_repo_files(self, id: str, revision: str | None = None) -> list[str]:
            if not online:
                raise ConnectionError("no network")
            return ["model.safetensors", "pytorch_model.bin", "onnx/model.onnx", "vocab.txt"]

    def snapshot_download(id: str, **options: Any) -> str:
        asked.append({"id": id, **options})
        if not online and not options.get("local_files_only"):
            raise ConnectionError("no network")
        if id == "a/missing":
            raise FileNotFoundError("not cached")
        return str(tmp_path)

    module(monkeypatch, "huggingface_hub", HfApi=HfApi, snapshot_download=snapshot_download)
    assert fathom.download("a/b", "v1") == str(tmp_path)
    assert asked[0]["revision"] == "v1" and "*.safetensors" in asked[0]["allow_patterns"]
    assert "*.bin" not in asked[0]["allow_patterns"]
    online = False
    assert fathom.download("a/b") == str(tmp_path) and asked[-1]["local_files_only"]
    with pytest.raises(fathom.FileError, match="a/missing: .*no network"):
        fathom.download("a/missing")
    with pytest.raises(fathom.OptionError, match="ORG/NAME"):
        fathom.download("/a/path/here")
