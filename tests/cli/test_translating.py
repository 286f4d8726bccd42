"""`translate` and `eval` of a translator: what goes in, what comes out, how good it is, and what was looked at."""

import gzip
import io
import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.helpers import assert_one_line_error
from tinygrad_gpt.cli import UNREADABLE, main, translating
from tinygrad_gpt.data.unigram_tokenizer import UnigramTokenizer
from tinygrad_gpt.files import plots
from tinygrad_gpt.generate.alignment import SHADES
from tinygrad_gpt.generate.translate import alignments, sources_of, translate, translate_ids
from tinygrad_gpt.tasks.scores import corpus_bleu

ENGLISH = ["a dog sees a cat .", "a house likes a man .", "a cat likes a cat ."]
GERMAN = ["ein hund sieht ein katze .", "ein haus mag ein mann .", "ein katze mag ein katze ."]


@pytest.fixture
def trans(run, translator):
    """Run `translate` on the toy translator: (status, standard output, standard error)."""
    return lambda *arguments: run("translate", str(translator), *arguments)


@pytest.fixture
def files(tmp_path):
    """in.txt and right.txt, with empty lines."""
    (tmp_path / "in.txt").write_text("\n".join([ENGLISH[0], "", *ENGLISH[1:], ""]) + "\n", encoding="utf-8")
    (tmp_path / "right.txt").write_text("\n".join([GERMAN[0], "", *GERMAN[1:], ""]) + "\n", encoding="utf-8")


def lines_of(result):
    status, said, error = result
    assert status == 0 and error == "", error
    return said.splitlines()


# --- what goes in and comes out ---------------------------------------------------------------------------------------


def test_sentences_as_arguments(trans):
    assert lines_of(trans(*ENGLISH)) == GERMAN
    assert lines_of(trans("\n".join(ENGLISH))) == GERMAN, "a sentence on each line"


def test_a_file_and_standard_input_keep_order_and_empty_lines(trans, files, monkeypatch, tmp_path):
    expected = [GERMAN[0], "", *GERMAN[1:], ""]
    assert lines_of(trans("in.txt")) == expected
    (tmp_path / "in.txt.gz").write_bytes(gzip.compress((tmp_path / "in.txt").read_bytes()))
    assert lines_of(trans("in.txt.gz")) == expected
    for arguments in (["-"], []):
        monkeypatch.setattr("sys.stdin", io.StringIO(f" {ENGLISH[1]}\r\n\r\n\t\n{ENGLISH[0]}"))  # no line end at last
        assert lines_of(trans(*arguments)) == [GERMAN[1], "", "", GERMAN[0]]


def test_it_is_what_python_says(trans, translator):
    texts = ["a cat", "dog sees", "a a a", "house . . man"]  # such as it never saw
    model, tokenizer = tg.load(str(translator))[:2]
    how = dict(beams=3, penalty="gnmt", length_penalty=0.5, max_new_tokens=5)
    options = [
        "--beams",
        "3",
        "--penalty",
        "gnmt",
        "--length-penalty",
        "0.5",
        "--max-tokens",
        "5",
        "--batch-tokens",
        "7",
    ]
    assert lines_of(trans(*texts, *options)) == translate(model, tokenizer, texts, **how)
    greedy = translate(model, tokenizer, texts, beams=1)
    assert lines_of(trans(*texts, "--beams", "1")) == greedy != translate(model, tokenizer, texts, **how)


def test_python_has_it_too(translator, small_run):
    loaded = tg.load(str(translator))
    assert loaded.translate(ENGLISH) == GERMAN and loaded.translate(ENGLISH[:1], max_new_tokens=2) == ["ein"]
    with pytest.raises(tg.UserError, match="sample: a Transformer writes only what a source says"):
        loaded.sample("a dog")
    with pytest.raises(tg.UserError, match="translate: a GPT is no translator"):
        tg.load(str(small_run)).translate(["a dog"])


@pytest.mark.skipif(os.name != "posix", reason="named pipes")
def test_a_named_pipe(trans, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(f"echo '{ENGLISH[0]}' > pipe", shell=True, cwd=tmp_path):
        assert lines_of(trans("pipe")) == GERMAN[:1]


def test_many_sentences_come_in_parts_and_in_order(trans, monkeypatch):
    monkeypatch.setattr(translating, "_AT_ONCE", 2)
    assert lines_of(trans(*ENGLISH, "", *ENGLISH[::-1])) == [*GERMAN, "", *GERMAN[::-1]]


def test_only_empty_lines(trans, tmp_path):
    (tmp_path / "empty.txt").write_text("\n \n")
    assert lines_of(trans("empty.txt")) == ["", ""]


def test_a_call_of_the_tokenizer_is_what_generate_takes(run, translator):
    """As the docstring of models/marian.py has it: with the end, which encode leaves out."""
    assert run("export", str(translator), "marian")[0] == 0
    model, tokenizer = tg.load("marian")
    batch = tokenizer(ENGLISH, padding=True)
    assert (batch["input_ids"][:, -1] == tokenizer.end_id).all() and tokenizer.end_id not in tokenizer.encode(
        ENGLISH[0]
    )
    written = model.generate(**batch, max_new_tokens=20, num_beams=5)
    assert [tokenizer.decode(target).strip() for target in written] == GERMAN


def test_as_json(trans):
    answers = [json.loads(line) for line in lines_of(trans(ENGLISH[0], "", "--json"))]
    assert answers == [{"text": ENGLISH[0], "translation": GERMAN[0]}, {"text": "", "translation": ""}]


def test_out_is_a_file_that_appears_when_it_is_complete(trans, files, tmp_path, monkeypatch):
    assert trans("in.txt", "--out", "out.txt") == (0, "", "")
    assert (tmp_path / "out.txt").read_text(encoding="utf-8").split("\n") == [GERMAN[0], "", *GERMAN[1:], "", ""]
    monkeypatch.setattr(translating, "_AT_ONCE", 1)
    right, calls = translating.translate_ids, []

    def interrupted(*arguments, **how):
        calls.append(how)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return right(*arguments, **how)

    monkeypatch.setattr(translating, "translate_ids", interrupted)
    said = "out.txt.part has the first 1 of 3 translations\ninterrupted\n"
    assert trans(*ENGLISH[::-1], "--out", "out.txt") == (130, "", said)
    assert (tmp_path / "out.txt").read_text(encoding="utf-8").startswith(GERMAN[0]), "the old file"
    assert (tmp_path / "out.txt.part").read_text(encoding="utf-8") == GERMAN[2] + "\n"
    assert len([path for path in tmp_path.iterdir() if path.name.startswith("out.txt.")]) == 1
    calls[:] = [None]
    assert trans(*ENGLISH, "--out", "new.txt") == (130, "", "interrupted\n"), "there was nothing to keep"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("new.txt")]
    calls.clear()
    assert trans(*ENGLISH) == (130, GERMAN[0] + "\n", "interrupted\n"), "what is written stays"


def test_a_model_of_lower_case_reads_lower_case(run, translator, tmp_path):
    lower = tmp_path / "lower"
    for name in ("config.json", "checkpoint.safetensors", "tokenizer.json"):
        lower.mkdir(exist_ok=True)
        (lower / name).write_bytes((translator / name).read_bytes())
    config = json.loads((lower / "config.json").read_text(encoding="utf-8"))
    config["task"]["lowercase"] = True
    (lower / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "right.txt").write_text(GERMAN[0].title(), encoding="utf-8")
    status, said, error = run("translate", str(lower), ENGLISH[0].upper(), "--reference", "right.txt")
    assert (status, said) == (0, GERMAN[0] + "\n")
    assert error.startswith("BLEU = 100.00 ") and "|case:lc|" in error
    assert run("translate", str(translator), ENGLISH[0].upper())[1] != said


# --- BLEU -------------------------------------------------------------------------------------------------------------


def test_bleu_and_its_signature_come_last(trans, files, tmp_path):
    right = [GERMAN[0], "", GERMAN[1].replace("mann", "Mann"), GERMAN[2] + " ja", ""]
    (tmp_path / "right.txt").write_text("\n".join(right) + "\n", encoding="utf-8")
    texts = [GERMAN[0], "", *GERMAN[1:], ""]
    status, said, error = trans("in.txt", "--reference", "right.txt")
    assert status == 0 and said.splitlines() == texts, "nothing else is on standard output"
    line, signature = error.splitlines()
    assert line == str(corpus_bleu(texts, right)) and signature.startswith(
        "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|"
    )
    status, said, error = trans("in.txt", "--reference", "right.txt", "--tokenize", "none", "--out", "out.txt")
    assert (status, error) == (0, "") and said.splitlines()[0] == str(corpus_bleu(texts, right, tokenize="none"))
    assert "|tok:none|" in said


def test_the_words_of_a_model_are_those_of_its_corpus_unless_one_says_others(run, translator, tmp_path):
    """So the BLEU of translate, eval and training may be compared."""
    own = tmp_path / "own"
    own.mkdir()
    for name in ("config.json", "checkpoint.safetensors", "tokenizer.json"):
        (own / name).write_bytes((translator / name).read_bytes())
    config = json.loads((own / "config.json").read_text(encoding="utf-8"))
    config["task"]["corpus"] = "multi30k-tok-en-de"
    (own / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "right.txt").write_text(GERMAN[0], encoding="utf-8")
    asked = "translate", str(own), ENGLISH[0], "--reference", "right.txt"
    assert "|tok:none|" in run(*asked)[2] and "|tok:13a|" in run(*asked, "--tokenize", "13a")[2]


def test_as_many_references_as_sentences(trans, files, tmp_path):
    said = trans(*ENGLISH, "--reference", "right.txt")
    assert_one_line_error(said, "right.txt has 5 lines, and there are 3 sentences")
    assert said[1] == "", "nothing is translated first"
    assert_one_line_error(trans("in.txt", "--reference", "none.txt"), "none.txt")


# --- alignment --------------------------------------------------------------------------------------------------------


def test_a_table_of_what_was_looked_at(trans, translator, monkeypatch):
    said = lines_of(trans(*ENGLISH[:2], "", "--align"))
    assert (said[0], said[10], said[20:]) == (GERMAN[0], GERMAN[1], [""])
    assert said[1].split() == [*ENGLISH[0].split(), "</s>"] and said[9] == said[19] == ""
    assert [line.split()[0] for line in said[2:8]] == GERMAN[0].split()
    assert set("".join(line[len("katze") :] for line in said[2:8])) <= set(SHADES)
    monkeypatch.setenv("COLUMNS", "30")
    narrow = lines_of(trans(ENGLISH[0], "--align"))
    [answer] = [json.loads(line) for line in lines_of(trans(ENGLISH[0], "--align", "--json"))]
    weights = np.array(answer["alignment"]["weights"])
    best = [ENGLISH[0].split()[i] if i < 6 else "</s>" for i in weights.argmax(axis=1)]
    assert [line.split() for line in narrow[1:8]] == [
        [word, looked, f"{row.max():.2f}"]
        for word, looked, row in zip([*GERMAN[0].split(), "</s>"], best, weights, strict=True)
    ]


def test_the_alignment_is_that_of_the_model(trans, translator):
    model, tokenizer = tg.load(str(translator))[:2]
    for layer in (1, 2):
        [answer] = [
            json.loads(x) for x in lines_of(trans(ENGLISH[0], "--align", "--align-layer", str(layer), "--json"))
        ]
        sources = sources_of(model, tokenizer, ENGLISH[:1])
        targets = [np.append(target, tokenizer.end_id) for target in translate_ids(model, sources)]
        [weights] = alignments(model, sources, targets, layer=layer - 1)
        looked = answer["alignment"]
        assert (len(looked["target"]), len(looked["source"])) == weights.shape, "each word is one token"
        np.testing.assert_allclose(looked["weights"], weights, atol=1e-6)
    last = json.loads(lines_of(trans(ENGLISH[0], "--align", "--json"))[0])
    assert last == answer


def test_where_shades_cannot_be_shown_there_is_a_list(translator, monkeypatch):
    written = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", written)
    assert main(["translate", str(translator), ENGLISH[0], "--align"]) == 0
    lines = written.buffer.getvalue().decode("latin-1").splitlines()
    assert lines[0] == GERMAN[0] and len(lines) == 9
    assert all(re.fullmatch(r"\S+ +\S+ +[01]\.\d\d", line) for line in lines[1:8]), lines


def test_a_picture_of_one_sentence(trans, tmp_path):
    pytest.importorskip("matplotlib")
    assert lines_of(trans("", ENGLISH[0], "--align-plot", "seen.png")) == ["", GERMAN[0]]
    assert (tmp_path / "seen.png").read_bytes().startswith(b"\x89PNG")
    assert_one_line_error(trans(*ENGLISH, "--align-plot", "x.png"), "--align-plot draws one sentence, got 3")
    for name, start in (("seen.pdf", b"%PDF"), ("SEEN.SVG", b"<?xml")):
        assert lines_of(trans(ENGLISH[0], "--align-plot", name)) == [GERMAN[0]]
        assert (tmp_path / name).read_bytes().startswith(start)


def test_a_picture_that_cannot_be_drawn_costs_no_translation(trans, monkeypatch):
    def broken(size):
        raise ValueError("out of ink")

    monkeypatch.setattr(plots, "_figure", broken)
    status, said, error = trans(ENGLISH[0], "--align-plot", "x.png")
    assert (status, said) == (0, GERMAN[0] + "\n")
    assert error == "note: no x.png: matplotlib fails (ValueError: out of ink)\n"


# --- what cannot be ---------------------------------------------------------------------------------------------------


def test_lines_that_are_too_long_are_named_first_and_the_others_translated(trans, tmp_path):
    long = "a " * 24
    status, said, error = trans(ENGLISH[0], long, ENGLISH[1])
    assert (status, said.split("\n")) == (1, [GERMAN[0], "", GERMAN[1], ""])
    assert error.startswith("warning: sentence 2 has 25 tokens with its end, and the model reads at most 24: make ")
    assert error.endswith("; left empty here\n") and error.count("\n") == 1
    (tmp_path / "in.txt").write_text(f"{ENGLISH[0]}\n\n{long}\n{long}a\n")
    (tmp_path / "right.txt").write_text(f"{GERMAN[0]}\n\nja\nja\n")
    status, said, error = trans("in.txt", "--json", "--reference", "right.txt")
    assert status == 1 and [json.loads(line)["translation"] for line in said.splitlines()] == [
        GERMAN[0],
        "",
        None,
        None,
    ]
    assert error.startswith("warning: in.txt, lines 3, 4 have up to 26 tokens with their ends, and ")
    assert f"\n{corpus_bleu([GERMAN[0], '', '', ''], [GERMAN[0], '', 'ja', 'ja'])}\n" in error


def test_nothing_but_sentences_that_are_too_long(trans, tmp_path):
    said = trans("", "a " * 24, "--out", "out.txt")
    assert_one_line_error(said, "sentence 2 has 25 tokens with its end, and the model reads at most 24")
    assert said[1] == "" and not (tmp_path / "out.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["none/here.txt"], ["there is no file none/here.txt"]),
        (["test.dee"], ["there is no file test.dee, and it does not look like a sentence"]),
        (["no.txt.gz"], ["there is no file no.txt.gz"]),
        ([".."], ["cannot read ..", "directory"]),
        (["blank.txt"], ["blank.txt has no sentences"]),
        (["latin.txt"], ["latin.txt is not UTF-8: byte 0xff at offset 2"]),
        (["zero.txt"], ["zero.txt, line 2", "zero byte"]),
        (["a", "--penalty", "gnm"], ["--penalty should be one of length, gnmt, not 'gnm' (did you mean gnmt?)"]),
        (["a", "--tokenize", "13b"], ["--tokenize should be one of 13a, none"]),
        (["a", "--length-penalty", "nan"], ["--length-penalty should be from -10 to 10, not nan"]),
        (["a", "--length-penalty", "-11"], ["from -10 to 10, not -11"]),
        (["a", "--beams", "0"], ["--beams"]),
        (["a", "--align", "--align-layer", "3"], ["--align-layer should be at most 2"]),
        (["a", "--align-layer", "2"], ["--align-layer is of what --align shows and --align-plot draws"]),
        (["a", "--align-plot", "x.jpg"], ["--align-plot should be a file name that ends in .png, .pdf, .svg"]),
        (["a", "--align-plot", "none/x.png"], ["--align-plot should be a file to write, and there is no folder none"]),
        (["a", "--out", "none/x"], ["--out should be a file to write, and there is no folder none"]),
        (["a", "--out", "zero.txt/x"], ["--out should be a file to write, and there is no folder zero.txt"]),
        (["good.txt", "--out", "good.txt"], ["--out would write over good.txt, which this command uses"]),
        (["good.txt", "--out", "./folder/../good.txt"], ["--out would write over good.txt"]),
        (["a", "--out", "good.txt", "--reference", "good.txt"], ["--out would write over good.txt"]),
        (["a", "--out", "x.png", "--align-plot", "x.png"], ["--align-plot would write over x.png"]),
        (["a dog", "good.txt"], ["good.txt is a file, and of several arguments each is a sentence", "cat good.txt |"]),
        (["good.txt", "zero.txt"], ["as in `cat good.txt zero.txt | tinygrad-gpt translate MODEL`"]),
        (["a.de", "b.de"], ["there is no file a.de, and it does not look like a sentence"]),
        (["a", "--out", "folder"], ["--out should be a file to write, and folder is a folder"]),
        (["a", "--out", "/dev/null"], ["--out should be a file to write, and /dev/null is none"]),
        (["a", "--align-plot", "folder"], ["--align-plot should be a file to write, and folder is a folder"]),
        (["/dev/zero"], ["cannot read /dev/zero: it is not a file"]),
        (["a", "--tokenizer", "none.json"], ["none.json"]),
    ],
)
def test_one_clear_line(trans, tmp_path, arguments, parts):
    (tmp_path / "blank.txt").touch()
    (tmp_path / "latin.txt").write_bytes(b"a\n\xff\n")
    (tmp_path / "zero.txt").write_bytes(b"a\n\0\n")
    (tmp_path / "good.txt").write_text("a dog\n")
    (tmp_path / "folder").mkdir()
    said = trans(*arguments)
    assert_one_line_error(said, *parts)
    assert said[1] == ""


def test_another_models_tokenizer_is_named_before_anything_is_read(run, translator, tmp_path):
    """T-2: its ids of padding and of a sentence's end are others."""
    UnigramTokenizer.train([*ENGLISH, *GERMAN] * 9, 60, ("<pad>", "</s>")).save(tmp_path / "other.json")
    for command in (("translate", str(translator), "a dog"), ("eval", str(translator))):
        assert_one_line_error(run(*command, "--tokenizer", "other.json"), "the tokenizer is not the model's: expected")


def test_a_word_that_may_end_in_a_point_is_a_sentence(trans):
    for words in (["dog."], ["3.5"], ["..."], ["dog..."], ["a dog", "."], ["dog", "a.de"]):
        assert trans(*words)[0] == 0, words


def test_a_folder_with_sentencepiece_files_says_what_is_missing(run, translator, tmp_path):
    """As OPUS-MT's are published."""
    assert run("export", str(translator), "marian")[0] == 0
    marian = tmp_path / "marian"
    for path in [path for path in marian.iterdir() if path.name.startswith(("tokenizer", "vocab", "merges"))]:
        path.unlink()
    (marian / "source.spm").touch()
    said = "which are not read: give --tokenizer a tokenizer.json of this model"
    assert_one_line_error(run("translate", "marian", "a dog"), "source.spm", said)
    (marian / "vocab.json").write_text('{"</s>": 0, "<pad>": 1}', encoding="utf-8")
    for more in ([], ["--tokenizer", "marian"], ["--tokenizer", "marian/vocab.json"]):
        assert_one_line_error(run("translate", "marian", "a dog", *more), "source.spm", said)
    (marian / "source.spm").unlink()  # as a download leaves it
    assert_one_line_error(run("translate", "marian", "a dog"), "source.spm", said)


def test_a_text_that_no_file_can_be_called(trans):
    assert_one_line_error(trans("a dog " * 200), "sentence 1 has ")
    assert trans("a dog " * 200, "dog")[0] == 1


def test_no_sentences_at_a_terminal(trans, monkeypatch):
    monkeypatch.setattr("sys.stdin", type("Terminal", (io.StringIO,), {"isatty": lambda self: True})())
    assert_one_line_error(trans(), "expected sentences, a file with one on each line, or -")


def test_a_config_whose_model_names_what_stands_beside_it(run, translator, tmp_path):
    config = json.loads((translator / "config.json").read_text(encoding="utf-8"))
    config["model"]["vocab_size"] = config["vocab_size"]
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert_one_line_error(run("translate", "damaged", "a"), "another version of tinygrad-gpt (settings: vocab_size)")


def test_a_gpt_does_not_translate_and_a_translator_does_not_sample(run, small_run, translator):
    assert_one_line_error(run("translate", str(small_run), "a"), "GPT")
    assert_one_line_error(run("sample", str(translator)), "a translator: try `tinygrad-gpt translate ")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("similar RUN one two", "RUN holds a translator, and this needs a BERT"),
        ("predict RUN [MASK]", "RUN holds a translator, and this needs a BERT"),
        ("finetune own.tsv --from RUN", "RUN holds a translator, and this needs a GPT, a BERT or an XLNet"),
        ("classify RUN one", "RUN is a run that learns the task translation, not a fine-tuned model: `tinygrad-gpt tr"),
        ("train text.txt --from RUN", "RUN holds a Transformer: name a preset that trains one, such as"),
    ],
)
def test_what_needs_another_model_than_a_translator_says_which(run, translator, tmp_path, command, said):
    (tmp_path / "own.tsv").write_text("a\tyes\nb\tno\n" * 9, encoding="utf-8")
    result = run(*(word.replace("RUN", str(translator)) for word in command.split()))
    assert_one_line_error(result, said.replace("RUN", str(translator)))


# --- as a process -----------------------------------------------------------------------------------------------------


def process(*arguments, **how):
    return subprocess.Popen([sys.executable, "-m", "tinygrad_gpt", *arguments], stdout=subprocess.PIPE, **how)


@pytest.mark.long
def test_a_pipe_is_quiet(translator):
    pipe = process("translate", str(translator), stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    said, error = pipe.communicate(f"{ENGLISH[0]}\n\n{ENGLISH[1]}\n".encode())
    assert (pipe.returncode, error) == (0, b"") and said.decode().splitlines() == [GERMAN[0], "", GERMAN[1]]


@pytest.mark.long
def test_a_reader_that_goes_away(translator, tmp_path):
    (tmp_path / "in.txt").write_text(f"{ENGLISH[0]}\n" * 3000)
    writer = process("translate", str(translator), "in.txt", "--beams", "1", stderr=subprocess.PIPE)
    assert writer.stdout.read(3) == b"ein"
    writer.stdout.close()
    assert writer.stderr.read() == b""
    assert writer.wait(60) == UNREADABLE


@pytest.mark.long
@pytest.mark.skipif(os.name != "posix", reason="another system's Ctrl-C")
def test_ctrl_c(translator, tmp_path):
    (tmp_path / "in.txt").write_text(f"{ENGLISH[0]}\n" * 20000)
    writer = process("translate", str(translator), "in.txt", stderr=subprocess.PIPE)
    assert writer.stdout.read(3) == b"ein"
    writer.send_signal(signal.SIGINT)
    said = writer.stdout.read()
    assert writer.wait(60) == 130 and writer.stderr.read() == b"interrupted\n"
    assert {*f"ein{said.decode()}".splitlines()} == {GERMAN[0]}, "whole lines"


# --- export -----------------------------------------------------------------------------------------------------------


def test_a_folder_for_transformers_translates_alike(run, translator):
    status, said, error = run("export", str(translator), "marian")
    assert (status, error) == (0, "") and "transformers.MarianMTModel.from_pretrained('marian')" in said
    assert lines_of(run("translate", "marian", *ENGLISH)) == GERMAN
    corpus = [str(translator.parent / "corpus"), "--source", "en", "--target", "de"]
    ours, theirs = (lines_of(run("eval", model, *corpus)) for model in (str(translator), "marian"))
    assert theirs == ours
    assert_one_line_error(
        run("eval", "marian"), "name a parallel corpus, as in `tinygrad-gpt eval marian multi30k-en-de`"
    )


# --- eval -------------------------------------------------------------------------------------------------------------


def test_eval_says_how_sure_it_is_and_how_good_its_translations_are(run, translator):
    said = lines_of(run("eval", str(translator)))
    assert said[0] == f"{translator.parent / 'corpus'}, validation part, en to de: 25 pairs, 175 tokens"
    figures = json.loads(lines_of(run("eval", str(translator), "--json", "--beams", "2", "--penalty", "gnmt"))[0])
    assert said[1] == f"loss        {figures['loss']:.4f} nats per token"
    assert figures["perplexity"] == pytest.approx(np.exp(figures["loss"])) and figures["accuracy"] > 0.99
    assert said[4].startswith("greedy      BLEU = 100.00 ") and said[5].startswith("5 beams     BLEU = 100.00 ")
    assert said[6] == f"signature   {figures['greedy']['signature']}"
    assert figures["search"].items() >= {"beams": 2, "penalty": "gnmt", "length_penalty": 1.0, "hyp_len": 150}.items()
    assert "search" not in json.loads(lines_of(run("eval", str(translator), "--json", "--beams", "1"))[0])


def test_the_loss_is_that_of_training_s_last_evaluation(run, translator):
    rows = [json.loads(line) for line in (translator / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    figures = json.loads(lines_of(run("eval", str(translator), "--json", "--beams", "1"))[0])
    assert figures["loss"] == pytest.approx(rows[-1]["val_loss"], abs=1e-6)


def test_eval_on_other_sentences(run, translator, tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    for part in ("train", "valid", "test"):
        wrong = ENGLISH if part == "test" else ["dog"] * 3
        (folder / f"{part}.en").write_text("\n".join(wrong) + "\n")
        (folder / f"{part}.de").write_text("\n".join(GERMAN) + "\n")
    said = lines_of(run("eval", str(translator), "other", "--source", "en", "--target", "de"))
    assert said[0].startswith("other, test part, en to de: 3 pairs, ") and "BLEU = 100.00" in said[4]
    (folder / "test.en").write_text("\n".join([*ENGLISH[:2], "a " * 30]) + "\n")
    said = lines_of(run("eval", str(translator), "other", "--source", "en", "--target", "de"))
    assert said[0].endswith("; 1 of 3 pairs left out: 1 longer than 24 tokens with </s>")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--stride", "3"], "holds a translator: leave out --stride"),
        (["--block-size", "3"], "leave out --block-size"),
        (["other.txt"], "other.txt"),
        (["--source", "en"], "for a corpus of your own: name it"),
        (["--penalty", "x"], "--penalty should be one of length, gnmt"),
        (["multi30k-tok-de-en"], "translates from en to de, not from de to en: give multi30k-tok-en-de"),
        (["CORPUS", "--source", "de", "--target", "en"], "not from de to en: give --source en --target de"),
    ],
)
def test_eval_that_cannot_be(run, translator, arguments, part):
    corpus = str(translator.parent / "corpus")
    arguments = [corpus if argument == "CORPUS" else argument for argument in arguments]
    assert_one_line_error(run("eval", str(translator), *arguments), part)


def test_eval_takes_the_languages_of_the_run(run, translator, tmp_path):
    beside = str(translator.parent / "corpus")
    assert lines_of(run("eval", str(translator), beside))[0].endswith("validation part, en to de: 25 pairs, 175 tokens")
    for language, lines in (("fr", ENGLISH), ("de", GERMAN), ("it", ENGLISH)):
        (tmp_path / f"other.{language}").write_text("\n".join(lines) + "\n")
    assert_one_line_error(run("eval", str(translator), "other"), "other has files in de and fr and it", "--source de")


def test_eval_of_a_gpt_has_no_beams(run, small_run):
    assert_one_line_error(run("eval", str(small_run), "--beams", "3"), "holds a GPT: leave out --beams")
