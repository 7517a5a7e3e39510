"""Bad grids: everything that is wrong comes out at once, with line, column and a cure, and nothing else happens."""

from __future__ import annotations

import contextlib
import random
import string
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep import grid
from sweep.errors import GridError
from sweep.grid.syntax import expressions, yaml_reader

LINES = {
    "name": "t",
    "data": "{kind: feature_noise}",
    "model": "{kind: cnn}",
    "optimizer": "{kind: gd, lr: 0.1}",
}


def text_of(**lines: str) -> str:
    """A good grid of four lines with some lines replaced, or further ones added from line 5."""
    return "".join(f"{key}: {value}\n" for key, value in {**LINES, **lines}.items())


def data(fields: str) -> str:
    return text_of(data="{kind: feature_noise, " + fields + "}")


def model(fields: str) -> str:
    return text_of(model="{kind: cnn, " + fields + "}")


def optimizer(value: str) -> str:
    return text_of(optimizer=value)


def without(*keys: str) -> str:
    return "".join(f"{key}: {value}\n" for key, value in LINES.items() if key not in keys)


# One row a mistake: text, line, column, field, part of what is wrong, part of the cure.
BAD = [
    # Names that do not exist.
    (text_of(seeds="3"), 5, 1, "seeds", "not a key of a grid", "Did you mean seed?"),
    (
        text_of(data="{kind: feature_nois}"),
        2,
        14,
        "data.kind",
        "no data 'feature_nois'",
        "Did you mean feature_noise?",
    ),
    (
        text_of(data="feature_nois"),
        2,
        7,
        "data",
        "no data 'feature_nois'",
        "There is feature_noise, signal_noise",
    ),
    (
        data("sparsty: 3"),
        2,
        29,
        "data.sparsty",
        "not a field of data feature_noise",
        "Did you mean sparsity?",
    ),
    (data("width: 3"), 2, 29, "data.width", "not a field of data", "It is a field of model"),
    (
        text_of(train="{kind: x}"),
        5,
        9,
        "train.kind",
        "not a field of train",
        "There is steps, batch_size",
    ),
    (
        optimizer("{kind: optax.nope, lr: 1}"),
        4,
        19,
        "optimizer.kind",
        "no optimizer 'optax.nope'",
        "optax.NAME is any",
    ),
    (
        optimizer("{kind: optax.nadam, lr: 1, b3: 1}"),
        4,
        39,
        "optimizer.b3",
        "not a field",
        "There is lr, b1, b2",
    ),
    (
        optimizer("{kind: gd, lr: 1, schedule: {kind: poer}}"),
        4,
        47,
        "optimizer.schedule.kind",
        "no schedule 'poer'",
        "Did you mean power?",
    ),
    (
        text_of(record="{tset: true}"),
        5,
        10,
        "record.tset",
        "not a key of record",
        "Did you mean test?",
    ),
    (
        data("noise: {lgo: [1, 2, 3]}"),
        2,
        37,
        "data.noise.lgo",
        "expected one of log, lin",
        "{log: [first, last",
    ),
    # What is missing.
    (without("name"), 1, 1, "name", "is missing", "Write name:"),
    (without("data"), 1, 1, "data", "is missing", "There is feature_noise"),
    (text_of(model="null"), 3, 8, "model", "is missing", "There is cnn"),
    (optimizer("{kind: gd}"), 4, 12, "optimizer.lr", "is missing (step size)", "Give lr a value"),
    (optimizer("{lr: 1}"), 4, 12, "optimizer", "kind is missing", "There is gd, sgd"),
    (optimizer("[]"), 4, 12, "optimizer", "an empty list", "at least one optimizer"),
    (data("n: []"), 2, 32, "data.n", "an empty list", "at least one value"),
    (
        optimizer("{kind: gd, lr: 1, schedule: warmup}"),
        4,
        40,
        "optimizer.schedule.warmup",
        "is missing",
        "Give warmup a value",
    ),
    # Wrong types.
    (
        optimizer("{kind: [gd, adam], lr: 1}"),
        4,
        19,
        "optimizer.kind",
        "expected a word",
        "as a list of mappings",
    ),
    (text_of(data="3"), 2, 7, "data", "expected a mapping, got 3", "Write data: {kind:"),
    (
        text_of(data="[{kind: feature_noise}, 3]"),
        2,
        31,
        "data[1]",
        "expected a mapping",
        "Write data: {kind:",
    ),
    (text_of(train="5"), 5, 8, "train", "expected a mapping, got 5", "Write train: {field: value}"),
    (data("n: 2.5"), 2, 32, "data.n", "expected a whole number, got 2.5", "Write a whole number"),
    (
        data("n: [1, true]"),
        2,
        36,
        "data.n[1]",
        "expected a whole number, got true",
        "Write a whole number",
    ),
    (data("n: '3'"), 2, 32, "data.n", "expected a whole number, got '3'", "without quotes"),
    (data("noise: null"), 2, 36, "data.noise", "got null", "leave the field out"),
    (data("noise: [[1]]"), 2, 37, "data.noise[0]", "got a list", "a list of scalars"),
    (data("noise: .nan"), 2, 36, "data.noise", "nan is not a finite number", "finite"),
    (data("noise: 1e999"), 2, 36, "data.noise", "inf is not a finite number", "finite"),
    (model("bias: 1"), 3, 26, "model.bias", "expected true or false, got 1", "Write true"),
    (
        model("bias: yes"),
        3,
        26,
        "model.bias",
        "expected true or false, got 'yes'",
        "Write true",
    ),
    (model("readout: 3"), 3, 29, "model.readout", "expected a word", "Take one of sum, mean"),
    (
        model("readout: men"),
        3,
        29,
        "model.readout",
        "'men' is none of its words",
        "Did you mean mean?",
    ),
    (model("width: [1, '=n']"), 3, 31, "model.width[1]", "got '=n'", "stand alone"),
    (text_of(name="a/b"), 1, 7, "name", "cannot name a folder", "letters, digits"),
    (text_of(name="3"), 1, 7, "name", "3 cannot name a folder", "letters, digits"),
    (text_of(description="[1]"), 5, 14, "description", "expected text", "in quotes"),
    (text_of(record="3"), 5, 9, "record", "expected a mapping", "record: {points: 32"),
    (text_of(record="{test: 3}"), 5, 16, "record.test", "expected true or false", "true or false"),
    (
        text_of(test_points="many"),
        5,
        14,
        "test_points",
        "expected a whole number",
        "without quotes",
    ),
    (
        text_of(coordinates="spam"),
        5,
        14,
        "coordinates",
        "'spam' is none of its words",
        "There is auto, ambient",
    ),
    (text_of(where="3"), 5, 8, "where", "expected text, got 3", "condition in quotes"),
    (text_of(where="[n > 1, 3]"), 5, 16, "where[1]", "expected text", "condition in quotes"),
    # Bounds.
    (data("n: 0"), 2, 32, "data.n", "0 is not at least 1", "at least 1"),
    (data("n: {range: [0, 5]}"), 2, 32, "data.n", "0 is not at least 1", "at least 1"),
    (optimizer("{kind: gd, lr: 0}"), 4, 27, "optimizer.lr", "0 is not above 0", "above 0"),
    (
        optimizer("{kind: momentum, lr: 1, momentum: [0.5, 1]}"),
        4,
        52,
        "optimizer.momentum[1]",
        "1 is not below 1",
        "below 1",
    ),
    (text_of(seed="4294967296"), 5, 7, "seed", "not at most 4294967295", "at most 4294967295"),
    (text_of(record="{points: -1}"), 5, 18, "record.points", "-1 is not at least 0", "at least 0"),
    (text_of(test_points="-1"), 5, 14, "test_points", "-1 is not at least 0", "at least 0"),
    # Lists of numbers.
    (
        data("noise: {log: [0, 1, 3]}"),
        2,
        42,
        "data.noise.log",
        "log needs ends above 0",
        "{log: [first, last, count]}",
    ),
    (
        data("noise: {log: [1, 2]}"),
        2,
        42,
        "data.noise.log",
        "takes a list of 3 numbers",
        "{log: [first, last, count]}",
    ),
    (
        data("noise: {lin: [1, 2, 2.5]}"),
        2,
        42,
        "data.noise.lin",
        "count has to be a whole number",
        "{lin:",
    ),
    (
        data("noise: {lin: [1, 2, 0]}"),
        2,
        42,
        "data.noise.lin",
        "count has to be a whole number from 1",
        "{lin:",
    ),
    (
        data("noise: {lin: [1, x, 3]}"),
        2,
        42,
        "data.noise.lin",
        "expected a number, got 'x'",
        "{lin:",
    ),
    (data("noise: {lin: [1, 2, 1e9]}"), 2, 42, "data.noise.lin", "from 1 to 1048576", "{lin:"),
    (
        data("noise: {lin: [0, 1e308, 3], log: 1}"),
        2,
        36,
        "data.noise",
        "expected one of log",
        "Write {log:",
    ),
    (
        data("n: {range: [5, 5]}"),
        2,
        40,
        "data.n.range",
        "the range is empty",
        "{range: [first, end, step]}",
    ),
    (data("n: {range: [1, 5, 0]}"), 2, 40, "data.n.range", "the step is 0", "{range:"),
    (data("n: {range: [1, 5, 0.5]}"), 2, 40, "data.n.range", "needs whole numbers", "{range:"),
    (data("n: {range: [1, 99999999999]}"), 2, 40, "data.n.range", "more than", "{range:"),
    (
        data("balanced: {range: [0, 2]}"),
        2,
        39,
        "data.balanced",
        "expected true or false",
        "Write a list",
    ),
    (
        data("noise: [0.1, 0.2, 0.1]"),
        2,
        47,
        "data.noise[2]",
        "values 1 and 3 of noise make the same",
        "Take one",
    ),
    (
        data("noise: [0.1, 0.1000000000000001]"),
        2,
        42,
        "data.noise[1]",
        "make the same trials",
        "Take one",
    ),
    (data("n: {log: [1, 3, 10]}"), 2, 32, "data.n", "make the same trials", "Take one"),
    (text_of(seed="[1, 1]"), 5, 11, "seed[1]", "make the same trials", "Take one"),
    (
        text_of(train="{epochs: [1, 1.001], batch_size: 10}"),
        5,
        21,
        "train.epochs[1]",
        "make the same trials",
        "Take one",
    ),
    (
        text_of(train="{batch_size: [full, 200]}"),
        5,
        28,
        "train.batch_size[1]",
        "make the same trials",
        "Take one",
    ),
    (
        text_of(train="{target_loss: [null, 0.1]}"),
        5,
        22,
        "train.target_loss",
        "null and values stand in one list",
        "a list of two mappings",
    ),
    # Expressions.
    (data("noise: '=1/m'"), 2, 36, "data.noise", "there is no field m", "There is data, n, d"),
    (
        data("n: '=__import__(1)'"),
        2,
        32,
        "data.n",
        "`__import__` is not a function",
        "Use numbers, field names",
    ),
    (
        data("noise: '=n.real'"),
        2,
        36,
        "data.noise",
        "`n.real` may not stand",
        "Use numbers, field names",
    ),
    (
        data("noise: '=1 +'"),
        2,
        36,
        "data.noise",
        "`1 +` is not an expression",
        "Use numbers, field names",
    ),
    (data("noise: '=n ^ 2'"), 2, 36, "data.noise", "BitXor", "Write ** for a power"),
    (
        data("noise: '=1/(n-5)', n: [4, 5, 6]"),
        2,
        36,
        "data.noise",
        "is -1 at n=4",
        "a number at least 0",
    ),
    (
        data("noise: '=1/(n-5)', n: [5, 6]"),
        2,
        36,
        "data.noise",
        "is inf at n=5",
        "a number at least 0",
    ),
    (data("n: '=d/0'"), 2, 32, "data.n", "n = d/0 is inf at d=1000", "a whole number at least 1"),
    (data("noise: '=-1'"), 2, 36, "data.noise", "noise = -1 is -1", "a number at least 0"),
    (
        data("snr: [-1, 1]"),
        2,
        34,
        "data.snr",
        "is -0.1 at snr=-1, sparsity=100",
        "a number at least 0",
    ),
    (data("snr: 0"), 2, 34, "data.snr", "is inf at snr=0", "a number at least 0"),
    (
        data("noise: '=d', d: '=noise'"),
        2,
        36,
        "data.noise",
        "noise -> d -> noise",
        "Give one of these fields as numbers",
    ),
    (
        data("noise: '=noise + 1'"),
        2,
        36,
        "data.noise",
        "noise -> noise",
        "Give one of these fields as numbers",
    ),
    (
        data("noise: '=1/snr'"),
        2,
        36,
        "data.noise",
        "noise -> snr -> noise",
        "Give one of these fields as numbers",
    ),
    (
        data("noise: '=target_loss'"),
        2,
        36,
        "data.noise",
        "target_loss is null here",
        "Give target_loss a value",
    ),
    (
        text_of(model="[{kind: cnn}, {kind: linear}]", optimizer="{kind: gd, lr: '=1/width'}"),
        4,
        27,
        "optimizer.lr",
        "there is no field width here",
        "model != 'linear' in where drops the others",
    ),
    (
        data("noise: '=readout'"),
        2,
        36,
        "data.noise",
        "gives text, expected a number",
        "that gives a number",
    ),
    (
        model("bias: '=n'"),
        3,
        26,
        "model.bias",
        "gives a number, expected true or false",
        "gives true or false",
    ),
    (
        model("width: '=n > 3'"),
        3,
        27,
        "model.width",
        "gives true or false, expected a number",
        "gives a number",
    ),
    (
        model("readout: '=init'"),
        3,
        29,
        "model.readout",
        "is normal at init=normal",
        "one of sum, mean",
    ),
    # Conditions.
    (text_of(where="sparsity > d"), 5, 8, "where", "keeps no point", "Loosen the conditions"),
    (text_of(where="sparsity"), 5, 8, "where", "is not a condition", "sparsity <= d"),
    (text_of(where="sparsty > 1"), 5, 8, "where", "no field sparsty", "Did you mean sparsity?"),
    (text_of(where="[n > 1, n > ]"), 5, 16, "where[1]", "is not an expression", "Use numbers"),
    (
        text_of(where="optimizer == 'adamm'"),
        5,
        8,
        "where",
        "no optimizer 'adamm'",
        "Did you mean adam?",
    ),
    (
        text_of(where="readout == 'men'"),
        5,
        8,
        "where",
        "readout is never 'men'",
        "Did you mean mean?",
    ),
    (
        text_of(where="readout > 3"),
        5,
        8,
        "where",
        "cannot be compared so",
        "Compare numbers with numbers",
    ),
    (
        text_of(where="target_loss > 1"),
        5,
        8,
        "where",
        "target_loss is null here",
        "Give target_loss a value",
    ),
    (
        text_of(model="[{kind: cnn}, {kind: linear}]", where="width < 100"),
        5,
        8,
        "where",
        "no field width here",
        "model == 'linear' or (...) keeps them",
    ),
    (
        text_of(
            data="{kind: feature_noise, noise: {lin: [1, 2, 5000]}, feature_noise: {lin: [1, 2, 5000]}}",
            where="noise < feature_noise",
        ),
        5,
        8,
        "where",
        "more than 16777216 combinations",
        "fewer fields",
    ),
    # Relations between fields.
    (
        data("sparsity: [10, 99, 100, 200], d: [50, 100]"),
        2,
        39,
        "data.sparsity",
        "at 5 of 8 points, for example at sparsity=99, d=50",
        "where: 'sparsity <= d - 1'",
    ),
    (
        text_of(train="{batch_size: 300}"),
        5,
        21,
        "train.batch_size",
        "at 1 of 1 points, for example at batch_size=300, n=200",
        "batch_size: full",
    ),
    (data("noise: 1, snr: 2"), 2, 39, "data.snr", "snr and noise are given", "Give snr or noise"),
    (
        text_of(train="{steps: 1, epochs: 2}"),
        5,
        19,
        "train.epochs",
        "epochs and steps are given",
        "Give epochs or steps",
    ),
    (text_of(zip="[n, d_]"), 5, 6, "zip", "there is no field d_", "Did you mean d?"),
    (text_of(zip="[n, d]"), 5, 6, "zip", "n is not given as a list", "Give n a list"),
    (text_of(zip="n"), 5, 6, "zip", "two different fields", "zip: [n, d]"),
    (text_of(zip="3"), 5, 6, "zip", "expected text", "zip: [n, d]"),
    (
        text_of(data="{kind: feature_noise, n: [10, 20, 30], noise: [1, 2]}", zip="[noise, n]"),
        5,
        6,
        "zip",
        "but noise has 2, n has 3",
        "equally long",
    ),
    (
        text_of(
            data="{kind: feature_noise, n: [10, 20], noise: [1, 2], d: [500, 600]}",
            zip="[[n, noise], [n, d]]",
        ),
        5,
        6,
        "zip",
        "n stands in it twice",
        "once",
    ),
    (
        text_of(data="{kind: feature_noise, n: [10, 10], noise: [1, 1]}", zip="[n, noise]"),
        2,
        37,
        "data.n[1]",
        "values 1 and 2 of n, noise make the same trials",
        "Take one",
    ),
    (
        optimizer("[{kind: gd, lr: [0.1, 0.2]}, {kind: gd, lr: [0.2, 0.3]}]"),
        4,
        41,
        "optimizer[1]",
        "makes a trial that optimizer[0] in line 4 makes too, with lr=0.2",
        "Take it out",
    ),
    (
        optimizer("[{kind: gd, lr: 0.1}, gd]").replace(
            "gd]", "{kind: gd, lr: 0.1, schedule: constant}]"
        ),
        4,
        34,
        "optimizer[1]",
        "makes a trial that optimizer[0]",
        "Take it out",
    ),
    (
        optimizer("{kind: gd, lr: 1, schedule: [constant, constant]}"),
        4,
        51,
        "optimizer.schedule[1]",
        "makes a trial that optimizer.schedule[0]",
        "Take it out",
    ),
    # Sizes.
    (
        text_of(
            data="{kind: feature_noise, noise: {lin: [1, 2, 1e6]}, feature_noise: {lin: [1, 2, 1e6]}}",
            model="{kind: cnn, init_scale: {lin: [1, 2, 1e6]}}",
            seed="{range: [0, 10]}",
        ),
        1,
        1,
        "",
        "the grid has 1e+19 points",
        "below 2^62",
    ),
    (
        optimizer("[" + "{kind: gd, lr: 1}, " * 1001 + "]"),
        1,
        1,
        "",
        "1001 blocks",
        "lists of values",
    ),
    # What is no grid, or no YAML that is read.
    ("", 1, 1, "", "the file is empty", "Write at least name"),
    ("# only a comment\n", 1, 1, "", "the file is empty", "Write at least name"),
    ("[1, 2]", 1, 1, "", "a grid is a mapping, got a list", "name: ..."),
    ("hello", 1, 1, "", "a grid is a mapping, got 'hello'", "name: ..."),
    (
        text_of() + "data: {kind: separable}\n",
        5,
        1,
        "data",
        "given twice, first in line 2 and again in line 5",
        "Keep one",
    ),
    (data("n: 3, n: 4"), 2, 35, "data.n", "given twice", "Keep one"),
    (text_of() + "train: {steps: 3\n", 6, 1, "", "this is not YAML", "brackets"),
    (text_of() + "a: b: c\n", 5, 5, "", "mapping values are not allowed", "colons"),
    (text_of() + "\ttrain: 3\n", 5, 1, "", "a tab", "Indent with spaces"),
    (text_of() + "---\nname: u\n", 5, 1, "", "a second document", "one grid a file"),
    (text_of(seed="*nobody"), 5, 7, "", "undefined alias", "Look at"),
    (
        text_of(seed="!!python/object/apply:os.system ['true']"),
        5,
        7,
        "seed",
        "the tag !!python/object",
        "plain text",
    ),
    (text_of(seed="!!binary aGk="), 5, 7, "seed", "the tag !!binary", "plain text"),
    (text_of(seed="!Thing 3"), 5, 7, "seed", "the tag !Thing", "plain text"),
    (text_of(seed="!!set {a}"), 5, 7, "seed", "the tag !!set", "plain text"),
    (text_of(seed="!!int x"), 5, 7, "seed", "'x' is not a value", "plain text"),
    (text_of(seed="99999999999999999999"), 5, 7, "seed", "not a value of 64 bits", "plain text"),
    (text_of(data="{<<: 3, kind: feature_noise}"), 2, 12, "data", "<< merges mappings", "&name"),
    (text_of(data="{<<: [[]]}"), 2, 13, "data", "<< merges mappings only", "<<: *name"),
    (
        text_of(data="{<<: {kind: feature_noise}, <<: {n: 3}}"),
        2,
        7,
        "data",
        "<< is given twice, first in line 2",
        "one list, <<: [*first, *second]",
    ),
    (text_of(data="{<<: {kind: feature_noise, m: 3}}"), 2, 34, "data.m", "not a field", "n, d"),
    (data("<<: {<<: {}, n: 3, n: 4}"), 2, 48, "data.n", "given twice", "Keep one"),
    (text_of() + "1: 2\n", 5, 1, "", "a key has to be a word", "name: value"),
    (text_of() + "? [a]\n: 2\n", 5, 3, "", "a key has to be a word", "name: value"),
    (text_of(name='"\\ud800"'), 1, 7, "name", "valid text", "plain text"),
    (text_of(name='"\\UFFFFFFFF"'), 1, 10, "", "not a character", "escape"),
    (text_of() + "a: \x07\n", 5, 4, "", "the character 0x0007", "Remove it"),
    (text_of(seed="[" * 50 + "]" * 50), 5, 30, "", "levels deep", "flatter"),
    (text_of(seed="&s [*s]"), 5, 7, "", "levels deep", "flatter"),
    # Numbers that no device counts to, or that no memory holds.
    (
        data("d: 10000000000000"),
        2,
        32,
        "data.d",
        "10000000000000 is not at most 2147483647",
        "Take",
    ),
    (data("n: 2147483648"), 2, 32, "data.n", "not at most 2147483647", "at most 2147483647"),
    (data("d: '=n**9'"), 2, 32, "data.d", "d = n**9 is", "at least 2 and at most 2147483647"),
    (model("width: 1.0e+13"), 3, 27, "model.width", "not at most 2147483647", "Take"),
    (model(f"power: {10**18}"), 3, 27, "model.power", "not at most 2147483647", "Take"),
    (text_of(train="{steps: 4294967306}"), 5, 16, "train.steps", "not at most 2147483647", "Take"),
    (text_of(record="{points: 100000000000}"), 5, 18, "record.points", "at most 1000000", "Take"),
    (
        optimizer(f"{{kind: optax.contrib.muon, lr: 0.1, ns_steps: -{10**18}}}"),
        4,
        58,
        "optimizer.ns_steps",
        "not at least -2147483647",
        "Take",
    ),
    # Rules that calculate with one step size.
    (
        optimizer("{kind: optax.sm3, lr: 0.1, schedule: {kind: cosine, decay_steps: 9}}"),
        4,
        49,
        "optimizer.schedule",
        "optax.sm3 takes no schedule",
        "Leave schedule out",
    ),
    (
        optimizer("[{kind: optax.rprop, lr: 0.1, schedule: [constant, power]}, {kind: gd, lr: 1}]"),
        4,
        63,
        "optimizer[0].schedule[1]",
        "optax.rprop takes no schedule",
        "Leave schedule out",
    ),
    # The seed of initial weights.
    (text_of(init_seed="full"), 5, 12, "init_seed", "expected a whole number", "without quotes"),
    (text_of(init_seed="-1"), 5, 12, "init_seed", "-1 is not at least 0", "at least 0"),
    (text_of(init_seed="4294967296"), 5, 12, "init_seed", "not at most 4294967295", "at most"),
    # Random values.
    (
        data("noise: {sample: {log: [0.1, 1]}}"),
        2,
        45,
        "data.noise.sample",
        "count is missing",
        "50}",
    ),
    (data("noise: {sample: {log: [0, 1]}, count: 3}"), 2, 45, "data.noise.sample", "above 0", "{"),
    (
        data("noise: {sample: {lin: [1, 1]}, count: 3}"),
        2,
        45,
        "data.noise.sample",
        "not below",
        "{",
    ),
    (
        data("noise: {sample: {log: [1, 2, 3]}, count: 3}"),
        2,
        45,
        "data.noise.sample",
        "log takes a list of 2 numbers",
        "Write {sample: {log: [first, last]}, count: 50}",
    ),
    (
        data("noise: {sample: {sample: {lin: [1, 2]}}, count: 3}"),
        2,
        45,
        "data.noise.sample",
        "taken from log or lin",
        "{sample: {log",
    ),
    (data("noise: {sample: [1, 2], count: 3}"), 2, 45, "data.noise.sample", "log or lin", "{"),
    (
        data("noise: {sample: {lin: [1, 2]}, count: 1e9}"),
        2,
        45,
        "data.noise.sample",
        "1048576",
        "{",
    ),
    (
        data("noise: {sample: {lin: [1, 2]}, count: 2.5}"),
        2,
        45,
        "data.noise.sample",
        "got 2.5",
        "{",
    ),
    (
        data("noise: {sample: {lin: [1, 2]}, count: 3, seed: -1}"),
        2,
        45,
        "data.noise.sample",
        "the seed of a sample is a whole number below 2^32, got -1",
        "{sample",
    ),
    (
        data("noise: {sample: {lin: [1, 2]}, cont: 3}"),
        2,
        60,
        "data.noise.cont",
        "is not a key of a sample",
        "Did you mean count?",
    ),
    (data("noise: {count: 3}"), 2, 37, "data.noise.count", "range and sample", "Write {log"),
    (data("noise: {sample: {lin: [-2, -1]}, count: 1}"), 2, 36, "data.noise", "at least 0", "at"),
    (model("readout: {sample: {lin: [1, 2]}, count: 3}"), 3, 29, "model.readout", "a word", "list"),
    # Whole numbers that a formula does not give.
    (data("n: '=d/3'"), 2, 32, "data.n", "n = d/3 is 333.333333333 at d=1000", "Write round(d/3)"),
    (data("sparsity: '=sqrt(d)'"), 2, 39, "data.sparsity", "is 31.6227766017", "floor or ceil"),
    (text_of(train="{steps: '=n/3'}"), 5, 16, "train.steps", "is 66.6666666667", "round(n/3)"),
    (
        data("n: [64, 100], d: '=n*2+2', sparsity: '=n/8'"),
        2,
        66,
        "data.sparsity",
        "sparsity = n/8 is 12.5 at n=100",
        "where it is whole",
    ),
    (text_of(seed="'=lr*3'"), 5, 7, "seed", "is 0.3 at lr=0.1", "round(lr*3)"),
]


@pytest.mark.promise(8)
@pytest.mark.parametrize(
    ("text", "line", "column", "field", "what", "cure"), BAD, ids=range(len(BAD))
)
def test_bad_grids(text, line, column, field, what, cure):
    with pytest.raises(GridError) as caught:
        grid.parse_grid(text, "bad.yaml")
    problems = caught.value.problems
    assert caught.value.exit_code == 2
    found = [p for p in problems if (p.line, p.column, p.field) == (line, column, field)]
    assert any(what in p.what and cure in p.cure for p in found), str(caught.value)
    for problem in problems:
        assert str(problem).startswith(f"bad.yaml:{problem.line}:{problem.column}: ")
        assert problem.what and problem.cure
        assert not problem.what.endswith(".")
        assert not problem.cure.endswith(".")
        assert len(str(problem)) < 700


def test_a_bad_value_is_not_complained_about_again_downstream():
    text = text_of(
        data="{kind: feature_noise, n: '=d/0', noise: 0}",
        train="{epochs: 2}",
        optimizer="{kind: gd, lr: '=1/steps'}",
    )
    with pytest.raises(GridError) as caught:
        grid.parse_grid(text)
    assert [problem.field for problem in caught.value.problems] == ["data.n"]
    with pytest.raises(GridError, match="lr = snr is inf at snr=inf"):
        grid.parse_grid(
            text_of(data="{kind: feature_noise, noise: 0}", optimizer="{kind: gd, lr: =snr}")
        )


ALONE = [row for row in BAD if "zip" not in row[0] and "levels" not in row[4]]


@pytest.mark.promise(8)
@pytest.mark.parametrize(
    ("text", "what"), [(row[0], row[4]) for row in ALONE], ids=range(len(ALONE))
)
def test_one_mistake_makes_one_problem(text, what):
    with pytest.raises(GridError) as caught:
        grid.parse_grid(text)
    assert len(caught.value.problems) == 1, str(caught.value)


MANY = """
name: a b
seed: -1
data: {kind: feature_noise, n: 0, dd: 3, sparsity: '=sqrt(m)', noise: .inf}
model: [{kind: cnn, width: [1, 1]}, {kind: cmn}]
optimizer: {kind: adam, b1: 1, schedule: {kind: power, shift: 0}}
train: {steps: 10, epochs: 2, batch_size: 1000}
where: [nn > 3, sqrt(n]
zip: [n]
record: {points: x}
name: again
"""
MISTAKES = {
    *(
        "name",
        "seed",
        "data.n",
        "data.dd",
        "data.sparsity",
        "data.noise",
        "model[1].kind",
        "train.epochs",
        "zip",
    ),
    *(
        "optimizer.lr",
        "optimizer.b1",
        "optimizer.schedule.shift",
        "where[0]",
        "where[1]",
        "record.points",
    ),
}


def untold() -> set[str]:
    """Mistakes of a grid that has many of them, less those that are told at once."""
    with pytest.raises(GridError) as caught:
        grid.parse_grid(MANY)
    problems = caught.value.problems
    assert [problem.line for problem in problems] == sorted(problem.line for problem in problems)
    return MISTAKES - {problem.field for problem in problems}


@pytest.mark.promise(8)
def test_everything_at_once_in_the_order_of_the_file():
    assert untold() == set()


@pytest.mark.promise(8, mutant=True)
def test_a_reader_that_stops_at_the_first_mistake_would_be_seen(monkeypatch):
    monkeypatch.setattr(yaml_reader, "MAX_PROBLEMS", 1)
    assert len(untold()) == len(MISTAKES) - 1


def test_many_bad_values_are_counted_after_three():
    with pytest.raises(GridError) as caught:
        grid.parse_grid(data("n: [0, -1, -2, -3, -4]"))
    whats = [problem.what for problem in caught.value.problems]
    assert whats == [
        "2 more of its values are not allowed",
        "0 is not at least 1",
        "-1 is not at least 1",
        "-2 is not at least 1",
    ]


def test_checks_count_over_all_blocks():
    text = text_of(
        data="{kind: feature_noise, sparsity: [10, 100], d: 50}",
        optimizer="[{kind: gd, lr: 1}, {kind: adam, lr: 1}]",
    )
    with pytest.raises(GridError, match="at 2 of 4 points") as caught:
        grid.parse_grid(text)
    assert len(caught.value.problems) == 1


# Files.


def test_a_file_that_cannot_be_read(tmp_path):
    for path in (tmp_path / "none.yaml", tmp_path, "nul\0"):
        with pytest.raises(GridError, match="cannot be read") as caught:
            grid.load_grid(path)
        assert caught.value.problems[0].cure


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "latin.yaml"
    path.write_bytes(text_of().encode() + "description: für\n".encode("latin-1"))
    with pytest.raises(GridError, match=r"latin\.yaml:5:15: the byte 0xfc is not UTF-8"):
        grid.load_grid(path)


@pytest.mark.promise(9)
def test_a_file_that_is_too_large(tmp_path):
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * (yaml_reader.MAX_BYTES + 1))
    with pytest.raises(GridError, match="more than 1048576 bytes"):
        grid.load_grid(path)


MERGED = """
name: t
data: {kind: feature_noise, n: &n [10, 20]}
model: {kind: cnn, width: 3}
optimizer:
  - &adam {kind: adam, lr: 1e-3, schedule: {kind: cosine, decay_steps: 50}}
  - &fast {<<: *adam, lr: 1e-2}
  - {b1: 0.5, <<: *fast, b2: 0.9}
  - {<<: [*fast, {lr: 7, b1: 0.8, b2: 0.6}, *adam], b1: 0.4}
"""
WRITTEN_OUT = """
name: t
data: {kind: feature_noise, n: [10, 20]}
model: {kind: cnn, width: 3}
optimizer:
  - {kind: adam, lr: 1e-3, schedule: {kind: cosine, decay_steps: 50}}
  - {kind: adam, lr: 1e-2, schedule: {kind: cosine, decay_steps: 50}}
  - {kind: adam, lr: 1e-2, b1: 0.5, b2: 0.9, schedule: {kind: cosine, decay_steps: 50}}
  - {kind: adam, lr: 1e-2, b1: 0.4, b2: 0.6, schedule: {kind: cosine, decay_steps: 50}}
"""


MEANT = [
    ("1k", "1000", [1000]),
    ("2.5K", "2500", [2500]),
    ("1M", "1000000", [1_000_000]),
    ("1,000", "1000", [1000]),
    ("12 000", "12000", [12_000]),
    ("0x10", "16", [16]),
    ("1-3", "{range: [1, 4]}", [1, 2, 3]),
    ("3-1", "{range: [3, 0, -1]}", [3, 2, 1]),
    ("1..3", "{range: [1, 4]}", [1, 2, 3]),
    ("1 to 3", "{range: [1, 4]}", [1, 2, 3]),
    ("1:4", "{range: [1, 4]}", [1, 2, 3]),
    ("range(1, 4)", "{range: [1, 4]}", [1, 2, 3]),
    ("1, 2, 3", "[1, 2, 3]", [1, 2, 3]),
    ("1 2 3", "[1, 2, 3]", [1, 2, 3]),
    ("(1,2,3)", "[1, 2, 3]", [1, 2, 3]),
    ("2^10", '"=2**10"', [1024]),
    ("10/2", '"=10/2"', [5]),
    ("d - 10", '"=d - 10"', [990]),
    ("sqrt(d*10)", '"=sqrt(d*10)"', [100]),
]
"""What people write for whole numbers, how a grid has it, and the values."""


@pytest.mark.parametrize(("written", "meant", "values"), MEANT, ids=[each[0] for each in MEANT])
def test_what_people_write_is_answered_by_how_to_write_it(written, meant, values):
    """The cure is a value that the grid takes."""
    with pytest.raises(GridError) as caught:
        grid.parse_grid(data(f"n: '{written}'"))
    (problem,) = caught.value.problems
    assert problem.cure.partition(", an expression")[0] == f"Write {meant}"
    block = grid.parse_grid(data(f"n: {meant}")).blocks[0]
    assert [n for rows in block.rows() for n in block.values(rows)["n"].tolist()] == values


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        (text_of(model="CNN"), "Did you mean cnn?"),
        (text_of(model="Cnn"), "Did you mean cnn?"),
        (text_of(data="Feature-Noise"), "Did you mean feature_noise?"),
        (optimizer("{kind: AdamW, lr: 1}"), "Did you mean adamw?"),
        (optimizer("{kind: SGD, lr: 1}"), "Did you mean sgd?"),
        (optimizer("{kind: gd, LR: 1}"), "Did you mean lr?"),
        (model("readout: Mean"), "Did you mean mean?"),
        (text_of(Seed="3"), "Did you mean seed?"),
        (text_of(where="\"model == 'CNN'\""), "Did you mean cnn?"),
        (model("bias: yes"), "Write true"),
        (model("bias: Off"), "Write false"),
        (model("bias: 0"), "Write false"),
        (data("noise: 10%"), "Write 0.1"),
        (data("noise: 0.1-0.5"), "Write {lin: [0.1, 0.5, 10]}"),
        (data("noise: 1e-3..1e-1"), "Write {log: [1e-3, 1e-1, 10]} for ten values from 1e-3"),
        (data("noise: 5m"), "Write a number, without quotes"),
        (data("noise: 1/3"), 'Write "=1/3"'),
        (data("noise: ten"), "Write a number, without quotes"),
        (text_of(seed="0-7"), "Write {range: [0, 8]}"),
        (text_of(seed="0:7"), "Write {range: [0, 7]}"),
        (text_of(train="{steps: 10k}"), "Write 10000"),
        (text_of(test_points="2k"), "Write 2000"),
    ],
)
def test_cures_say_what_was_meant(text, cure):
    with pytest.raises(GridError) as caught:
        grid.parse_grid(text)
    assert any(cure in problem.cure for problem in caught.value.problems), str(caught.value)


STEPS = [
    ("{steps: 2147483648}", "2147483648 is not at most 2147483647"),
    ("{steps: 1e10}", "10000000000 is not at most 2147483647"),
    ("{steps: '=2**31'}", "steps = 2**31 is 2147483648"),
    ("{epochs: 1e9, batch_size: 20}", "is 10000000000 at epochs=1000000000"),
    ("{steps: [10, 3e9]}", "3000000000 is not at most 2147483647"),
    ("{steps: {range: [2147483640, 2147483649]}}", "is not at most 2147483647"),
    ("{steps: {log: [1, 1e10, 3]}}", "is not at most 2147483647"),
]


@pytest.mark.parametrize(("train", "what"), STEPS)
def test_more_steps_than_a_device_counts_are_refused(train, what):
    with pytest.raises(GridError) as caught:
        grid.parse_grid(text_of(train=train))
    assert all(what in p.what and "2147483647" in p.cure for p in caught.value.problems)
    assert grid.parse_grid(text_of(train="{steps: 2147483647}")).size == 1


def test_a_formula_may_round_in_the_last_digits():
    """0.3 * 1000 is 299.99999999999994 in some orders of multiplication; that is a whole number."""
    read = grid.parse_grid(data("n: '=0.1*3*d', sparsity: '=d*(1-0.9)'"))
    first = read.blocks[0].first_values
    assert (first["n"], first["sparsity"]) == (300, 100)
    kept = grid.parse_grid(data("n: '=d/8', d: [800, 801, 804, 808]") + "where: d % 8 == 0\n")
    assert kept.size == 2


def test_merge_keys_are_what_yaml_says():
    """Own keys win wherever they stand, then the first of those merged (yaml.org/type/merge.html)."""
    assert yaml_reader.read_yaml(MERGED, "t").value == yaml_reader.read_yaml(WRITTEN_OUT, "t").value
    ids = [
        [block.ids(rows)[0].tolist() for block in read.blocks for rows in block.rows()]
        for read in map(grid.parse_grid, (MERGED, WRITTEN_OUT))
    ]
    assert ids[0] == ids[1]


def test_what_is_merged_is_reported_where_it_is_written():
    with pytest.raises(GridError) as caught:
        grid.parse_grid(MERGED.replace("decay_steps: 50", "decay_steps: -1"))
    assert [(p.line, p.field) for p in caught.value.problems] == [
        (6, f"optimizer[{index}].schedule.decay_steps") for index in range(4)
    ]


@pytest.mark.promise(9)
def test_aliases_are_counted_each_time():
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9))
    with pytest.raises(GridError, match="more than 100000 values, aliases counted each time"):
        grid.parse_grid(bomb)
    assert grid.parse_grid(text_of(model="{kind: cnn, width: &w [1, 2]}", seed="*w")).size == 4


@pytest.mark.promise(9)
def test_a_list_that_is_too_long():
    with pytest.raises(GridError, match="more than 100000 values"):
        grid.parse_grid(data(f"n: [{'1,' * 100_001}]"))


# Nothing in a file is run.

MKDIR = "__import__('os').mkdir('PLACE')"
EVIL = {
    "tag": text_of(seed="!!python/object/apply:os.mkdir [PLACE]"),
    "nested_tag": data("n: [1, !!python/object/apply:os.mkdir [PLACE]]"),
    "command": text_of(description="!!python/object/apply:subprocess.call [[mkdir, PLACE]]"),
    "module": text_of(seed="!!python/module:wicked"),
    "expression": data(f'n: "={MKDIR}"'),
    "call_of_a_function": data(f'noise: "=max(1, {MKDIR})"'),
    "condition": text_of(where=f'"{MKDIR}"'),
    "format": text_of(
        where=f"'f\"{{{MKDIR}}}\" == 1'".replace("'PLACE'", "''PLACE''").replace("'os'", "''os''")
    ),
}


def runs(text: str, folder: Path) -> bool:
    """Is something in this text run, or a module imported, while it is refused? Each would make a folder."""
    (folder / "wicked.py").write_text(f"import os\nos.mkdir({str(folder / 'made')!r})\n")
    with pytest.raises(GridError):
        grid.parse_grid(text.replace("PLACE", str(folder / "made")))
    sys.modules.pop("wicked", None)
    return (folder / "made").exists()


@pytest.mark.promise(9)
@pytest.mark.parametrize("kind", EVIL)
def test_nothing_in_a_grid_is_run(tmp_path, monkeypatch, kind):
    monkeypatch.syspath_prepend(tmp_path)
    assert not runs(EVIL[kind], tmp_path)


@pytest.mark.promise(9)
@pytest.mark.parametrize(
    "text",
    [
        text_of(plugin="wicked"),
        text_of(data="{kind: wicked}"),
        optimizer("{kind: wicked.Mine, lr: 1}"),
    ],
)
def test_a_grid_names_no_plugin(tmp_path, monkeypatch, text):
    monkeypatch.syspath_prepend(tmp_path)
    assert not runs(text, tmp_path)


@pytest.mark.promise(9, mutant=True)
@pytest.mark.parametrize("kind", ["tag", "nested_tag", "command", "module"])
def test_an_unsafe_loader_would_be_seen(tmp_path, monkeypatch, kind):
    compose = yaml_reader._compose

    def unsafe(text):
        yaml.load(text, yaml.UnsafeLoader)
        return compose(text)

    monkeypatch.setattr(yaml_reader, "_compose", unsafe)
    monkeypatch.syspath_prepend(tmp_path)
    assert runs(EVIL[kind], tmp_path)


@pytest.mark.promise(9, mutant=True)
@pytest.mark.parametrize("kind", ["expression", "call_of_a_function", "condition", "format"])
def test_eval_would_be_seen(tmp_path, monkeypatch, kind):
    tree = expressions._tree

    def unsafe(text):
        with contextlib.suppress(Exception):
            eval(text)
        return tree(text)

    monkeypatch.setattr(expressions, "_tree", unsafe)
    assert runs(EVIL[kind], tmp_path)


# Nothing but a grid or a GridError ever comes out.

GOOD = """name: good
seed: {range: [0, 4]}
data:
  - {kind: feature_noise, n: [10, 20], snr: {log: [0.1, 10, 3]}, sparsity: "=round(sqrt(d))"}
  - {kind: signal_noise, signal: {lin: [0, 1, 3]}, orthogonal: true}
model: {kind: cnn, width: 4, power: [1, 3]}
optimizer: {kind: adam, lr: [1e-3, 1e-2], schedule: {kind: cosine, decay_steps: "=steps"}}
train: {epochs: 10, batch_size: full, target_loss: 0.01}
where: ["n <= 20", "power == 3 or seed < 2"]
zip: [width, power]
record: {points: 8}
""".replace("width: 4", "width: [4, 8]")


# Values that float32 cannot hold. XLA takes those below the smallest normal number, 1.18e-38, as 0.

LOST = [
    (optimizer("{kind: gd, lr: 1e-46}"), 4, 27, "optimizer.lr", "lr = 1e-46 is 0"),
    (optimizer("{kind: gd, lr: 1.17e-38}"), 4, 27, "optimizer.lr", "lr = 1.17e-38 is 0"),
    (optimizer("{kind: gd, lr: [0.1, 3.5e38]}"), 4, 33, "optimizer.lr[1]", "3.5e+38 is infinite"),
    (optimizer('{kind: gd, lr: "=1/n**30"}'), 4, 27, "optimizer.lr", "is 0"),
    (data("sparsity: 4, snr: 1e-44"), 2, 47, "data.snr", "noise = "),
]


@pytest.mark.parametrize(("text", "line", "column", "field", "what"), LOST)
def test_values_that_float32_cannot_hold(text, line, column, field, what):
    with pytest.raises(GridError) as error:
        grid.parse_grid(text, dtype="float32")
    (problem,) = error.value.problems
    assert (problem.line, problem.column, problem.field) == (line, column, field)
    assert what in problem.what and "in float32" in problem.what
    assert "--dtype float64" in problem.cure
    for dtype in ("float64", ""):
        assert grid.parse_grid(text, dtype=dtype).size


@pytest.mark.parametrize(
    "text",
    [
        optimizer("{kind: gd, lr: [1.18e-38, 3.4e38]}"),
        optimizer("{kind: gd, lr: 0.1, weight_decay: 0}"),
        text_of(optimizer="{kind: gd, lr: [0.1, 1e-46]}", where="lr > 1e-10"),
    ],
)
def test_values_that_float32_holds_and_those_that_no_trial_has(text):
    assert grid.parse_grid(text, dtype="float32").size


def test_the_good_one_is_good():
    assert grid.parse_grid(GOOD).size > 0


def outcome(text: str) -> None:
    try:
        assert grid.parse_grid(text).size > 0
    except GridError as error:
        assert all(
            problem.cure and problem.line >= 1 and problem.column >= 1 for problem in error.problems
        )
        str(error).encode()


@pytest.mark.promise(8)
@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_edits_of_characters(seed):
    chance = random.Random(seed)
    text = GOOD
    for _ in range(chance.randint(1, 4)):
        at, length = chance.randrange(len(text)), chance.choice([0, 1, 1, 3])
        new = "".join(
            chance.choices(string.printable + "é\u2028\ufeff\0", k=chance.choice([0, 1, 1, 2]))
        )
        text = text[:at] + new + text[at + length :]
    outcome(text)


ODD = st.sampled_from(
    [
        *[None, True, 0, -1, 3, 2.5, float("nan"), float("inf"), 10**18, -(2**63), 1e308],
        *["", "=", "=n", "=1/0", "x", "full", [], {}, [[]], [None], [1, 1]],
        *[{"log": [1, 2, 3]}, {"range": [0, 9]}, {"kind": "gd"}, {"lin": [0, 1e308, 4]}],
    ]
)


@pytest.mark.promise(8)
@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), ODD, ODD)
def test_edits_of_values(seed, one, other):
    chance = random.Random(seed)
    tree = yaml.load(GOOD, yaml_reader._Loader)
    for new in (one, other):
        node: object = tree
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            key = chance.choice(keys)
            if not isinstance(node[key], dict | list) or not node[key] or chance.random() < 0.3:
                break
            node = node[key]
        node[key] = new
    outcome(yaml.safe_dump(tree, sort_keys=False))


@pytest.mark.promise(8)
@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "grid.yaml"
    path.write_bytes(content)
    with pytest.raises(GridError) as caught:
        grid.load_grid(path)
    assert caught.value.problems[0].cure
