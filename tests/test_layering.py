"""What the source must not contain (docs/architecture.md)."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("config", "dicom_io", "models", "node")
SOURCES = {path.relative_to(ROOT).as_posix(): path for package in PACKAGES for path in (ROOT / package).rglob("*.py")}

# What each package may import of the project, and must not import of others.
MAY_USE = {
    "config": set(),
    "dicom_io": {"models.types", "models.errors"},
    "models": {"models"},
    "node": {"config", "dicom_io", "models"},
}
MUST_NOT_USE = {
    "config": {"torch", "pydicom", "sqlalchemy"},
    "dicom_io": {"torch", "sqlalchemy"},
    "models": {"pydicom", "pynetdicom", "highdicom", "sqlalchemy"},
    "node": set(),
}
MODEL_LIBRARIES = {"ultralytics", "timm", "segment_anything", "segment_anything_hq"}
# It separates the two.
TWO_LIBRARIES = {"models/segmenters/hq_library.py"}
# Switches of libraries that hold for the whole process, each set once, when the file is imported.
SETS_A_SWITCH = {
    "dicom_io/network/scu.py": {"_config"},  # pynetdicom streams files instead of decoding them
    "models/segmenters/hq_library.py": {"_registry"},  # restored after the import
    "models/without_compiler.py": {"sys"},  # removed after the imports
    "models/detectors/stock.py": {"os", "torch"},  # torch's functions are restored after the import
    "node/logs.py": {"sys", "threading"},  # called when a thread ends by an exception
}
CHANGING = {"append", "add", "update", "setdefault", "extend", "insert", "pop", "clear", "remove", "discard"}
# ultralytics reads its settings only from environment variables, at its import; so does torch's OpenMP its wait policy.
# Ray reads its token and certificates only from there, when it is imported.
SETS_VARIABLES = {"models/detectors/stock.py", "node/reader/cluster/connection.py", "node/reader/threads.py"}
# Keys that are secrets of the installation: of the pseudonyms, and of the page's sessions.
DRAWS_A_SECRET = {"node/annotations/pseudonyms.py", "node/web/tokens.py"}
WALL_CLOCK = re.compile(r"time\.(time(_ns)?|localtime|gmtime|ctime)|(datetime|date)\.(now|today|utcnow)")
RANDOM = re.compile(
    r"(secrets|random)\.\w+|(uuid\.)?uuid[14]|os\.urandom|(pydicom\.uid\.)?generate_uid"
    r"|np\.random\.(?!Generator\b|default_rng\b)\w+"
)
FORBIDDEN_NAMES = {"utils", "common", "helpers", "manager", "base", "misc"}
RECEIVERS_MODULES = (
    "dicom_io.network.scp",
    "dicom_io.network.scu",
    "node.intake.receiving",
    "node.app",
    "node.cli.serve",
)


@cache
def tree_of(name: str) -> ast.Module:
    return ast.parse(SOURCES[name].read_text(encoding="utf-8"))


def faults_of(check: Callable[[str], Iterator[str]], modules: Iterable[str] = SOURCES) -> list[str]:
    """What a check finds in each of the modules."""
    return [f"{name}: {fault}" for name in modules for fault in check(name)]


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module that a file names in an import, as `package.module`; of `from a.b import c` both a.b and a.b.c."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def under(module: str, roots: set[str]) -> bool:
    return any(module == root or module.startswith(root + ".") for root in roots)


def module_of(name: str) -> str:
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def test_every_import_follows_the_layers_of_the_architecture():
    def against_the_layers(name: str) -> Iterator[str]:
        package = name.partition("/")[0]
        for module in imports(tree_of(name)):
            top = module.partition(".")[0]
            is_others = top in PACKAGES and top != package
            if (is_others and not under(module, MAY_USE[package])) or top in MUST_NOT_USE[package]:
                yield f"imports {module}"

    assert faults_of(against_the_layers) == []


def test_there_are_no_circular_imports():
    modules = {module_of(name) for name in SOURCES}
    graph = {
        module_of(name): {used for used in imports(tree) if used in modules and used != module_of(name)}
        for name in SOURCES
        for tree in [tree_of(name)]
    }
    done: set[str] = set()

    def visit(module: str, road: tuple[str, ...]) -> None:
        assert module not in road, " → ".join((*road[road.index(module) :], module))
        if module not in done:
            for used in sorted(graph[module]):
                visit(used, (*road, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())


def test_every_init_is_empty():
    assert [name for name, path in SOURCES.items() if path.name == "__init__.py" and path.read_text().strip()] == []


@pytest.mark.parametrize("module", RECEIVERS_MODULES)
def test_the_process_of_the_receiver_never_imports_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr or f"{module} imports torch"


def test_the_process_of_the_page_never_imports_torch_and_the_receivers_loads_nothing_of_the_page():
    code = "import sys, node.app; print('fastapi' in sys.modules); import node.web.application; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    in_receiver, *loaded = ran.stdout.split()
    assert (in_receiver, "fastapi" in loaded, "torch" in loaded) == ("False", True, False)


def test_the_reader_starts_without_the_libraries_of_the_network_and_the_results():
    """It starts again after every image that kills it, and each library costs it time and memory."""
    code = "import sys, node.__main__, node.reader.main, node.reader.images; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "numpy" in ran.stdout.split()
    assert not {"highdicom", "pynetdicom", "skimage.measure", "typer", "node.app"} & {*ran.stdout.split()}


def test_no_module_has_mutable_state():
    """No `global`; no list, dict, set or other object of a module that the module then changes; and no attribute of an
    imported module is set, but the libraries' switches listed above."""

    def state(name: str) -> Iterator[str]:
        tree = tree_of(name)
        yield from (
            f"line {node.lineno}: global" for node in ast.walk(tree) if isinstance(node, ast.Global | ast.Nonlocal)
        )
        changed = {owner for owner in _changed(tree, frozenset()) if owner in _bound(tree)}
        yield from (f"changes {owner}" for owner in changed - SETS_A_SWITCH.get(name, set()))

    assert faults_of(state) == []


def _changed(scope: ast.AST, local: frozenset[str]) -> Iterator[str]:
    """Names whose object is changed in a scope or below it, and which no enclosing function binds."""
    for node in ast.iter_child_nodes(scope):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                yield from _changed(node, local | _bound(node))
                continue
            case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=attribute)) if attribute in CHANGING:
                yield from {owner} - local - {"np", "torch"}  # np.append returns a new array
            case ast.Subscript(value=ast.Name(id=owner), ctx=ast.Store() | ast.Del()):
                yield from {owner} - local
            case ast.Attribute(value=ast.Name(id=owner), ctx=ast.Store() | ast.Del()):
                yield from {owner} - local
        yield from _changed(node, local)


def _bound(scope: ast.AST) -> frozenset[str]:
    """Names that a scope itself binds: its arguments, what it assigns and what it imports."""
    names: set[str] = set()
    if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        names |= {node.arg for node in ast.walk(scope.args) if isinstance(node, ast.arg)}
    open_nodes = list(ast.iter_child_nodes(scope))
    while open_nodes:
        match node := open_nodes.pop():
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(node.name)
                continue
            case ast.Lambda():
                continue
            case ast.Name(id=bound, ctx=ast.Store()):
                names.add(bound)
            case ast.MatchAs(name=str(bound)) | ast.MatchStar(name=str(bound)) | ast.ExceptHandler(name=str(bound)):
                names.add(bound)
            case ast.Import() | ast.ImportFrom():
                names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        open_nodes.extend(ast.iter_child_nodes(node))
    return frozenset(names)


def test_only_config_reads_the_environment():
    """The listed modules set variables of a library before it is imported; no other module sets any."""

    def read(name: str) -> Iterator[str]:
        tree = tree_of(name)
        allowed = {id(set_) for node in ast.walk(tree) if name in SETS_VARIABLES and (set_ := _variable_set(node))}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Attribute) or id(node) in allowed:
                continue
            if node.attr in ("environ", "environb", "getenv"):
                yield f"line {node.lineno} reads the environment"

    assert faults_of(read, (name for name in SOURCES if not name.startswith("config/"))) == []


def _variable_set(node: ast.AST) -> ast.expr | None:
    """The `os.environ` of `os.environ["X"] = …`, `os.environ |= …` or `os.environ.setdefault(…)`."""
    match node:
        case ast.Subscript(value=ast.Attribute(attr="environ") as environ, ctx=ast.Store()):
            return environ
        case ast.AugAssign(target=ast.Attribute(attr="environ") as environ):
            return environ
        case ast.Attribute(value=ast.Attribute(attr="environ") as environ, attr="setdefault" | "update"):
            return environ
    return None


def test_only_listed_modules_read_the_wall_clock_or_use_randomness():
    """The processes' main functions and the commands; a generator with a seed, and clocks that nobody sets, are free to
    all."""
    mains = ("node/app.py", "node/api.py", "node/reader/main.py", "node/web/main.py")

    def chance(name: str) -> Iterator[str]:
        for node in ast.walk(tree_of(name)):
            match node:
                case ast.Call(func=function, args=[], keywords=[]) if ast.unparse(function).endswith("default_rng"):
                    yield f"line {node.lineno} draws without a seed"
                case ast.Attribute() | ast.Name():
                    used = ast.unparse(node)
                    if WALL_CLOCK.fullmatch(used):
                        yield f"line {node.lineno} reads the wall clock"
                    if name not in DRAWS_A_SECRET and RANDOM.fullmatch(used):
                        yield f"line {node.lineno} draws at random"

    others = (name for name in SOURCES if name not in mains and not name.startswith("node/cli/"))
    assert faults_of(chance, others) == []


def test_each_adapter_imports_one_model_library_and_no_other_module_imports_any():
    def too_many(name: str) -> Iterator[str]:
        used = {module.partition(".")[0] for module in imports(tree_of(name))} & MODEL_LIBRARIES
        if len(used) > (2 if name in TWO_LIBRARIES else int(name.startswith("models/"))):
            yield f"imports {used}"

    assert faults_of(too_many) == []


PICKLES = {"pickle", "cloudpickle", "dill", "joblib", "shelve"}
# Ray deserialises by cloudpickle: the one exception (docs/security.md), and off unless it is set.
USES_RAY = "node/reader/cluster/"


def test_only_the_cluster_s_modules_import_ray_and_nobody_loads_a_pickle():
    """The spawned processes of the node itself are sent pickles by `multiprocessing`, from their own parent."""

    def pickles(name: str) -> Iterator[str]:
        used = {module.partition(".")[0] for module in imports(tree_of(name))}
        if used & PICKLES or ("ray" in used and not name.startswith(USES_RAY)):
            yield f"imports {used & (PICKLES | {'ray'})}"
        for node in ast.walk(tree_of(name)):
            match node:
                case ast.Call(func=ast.Attribute(attr="load", value=ast.Name(id="np" | "torch" as library))):
                    given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                    is_safe = {
                        "np": given.get("allow_pickle", "False") == "False",
                        "torch": given.get("weights_only") == "True",
                    }
                    if not is_safe[library]:
                        yield f"line {node.lineno} loads pickles"

    assert faults_of(pickles) == []


def test_the_process_that_hands_images_to_a_cluster_never_imports_torch():
    code = "import sys, node.reader.main, node.reader.cluster.pool, node.reader.cluster.actor; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = ran.stdout.split()
    assert "node.reader.cluster.actor" in loaded
    assert not {"torch", "ray"} & {*loaded}


def test_no_file_is_called_utils_common_or_the_like():
    """Nor, in models/, yolo: old YOLO pickles name such modules."""
    assert [name for name in SOURCES if Path(name).stem in FORBIDDEN_NAMES] == []
    assert [name for name in SOURCES if name.startswith("models/") and Path(name).stem == "yolo"] == []


def test_the_database_migrations_are_a_single_chain():
    numbers = sorted(Path(name).stem[:4] for name in SOURCES if name.startswith("node/store/migrations/versions/0"))
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]


def test_every_text_has_the_singular_or_plural_of_its_count():
    def undecided(name: str) -> Iterator[str]:
        texts = (node.value for node in ast.walk(tree_of(name)) if isinstance(node, ast.Constant))
        yield from (text for text in texts if isinstance(text, str) and re.search(r"[a-z]\((s|es|ies)\)", text))

    assert faults_of(undecided) == []


def test_a_state_is_changed_only_by_the_functions_that_check_transitions():
    """`row.state = …` is `moved(…)`, and no UPDATE sets a state but `moving(…)`."""

    def set_here(name: str) -> Iterator[str]:
        for node in ast.walk(tree_of(name)):
            match node:
                case ast.Assign(targets=[ast.Attribute(attr="state")], value=value):
                    by = ast.unparse(value.func) if isinstance(value, ast.Call) else ast.unparse(value)
                    if by != "moved":
                        yield f"line {node.lineno} sets a state to {by}"
                case ast.Call(func=ast.Attribute(attr="values"), keywords=keywords, args=arguments):
                    named = {keyword.arg or "" for keyword in keywords}
                    named |= {
                        ast.unparse(key)
                        for argument in arguments
                        if isinstance(argument, ast.Dict)
                        for key in argument.keys
                        if key
                    }
                    if any(key.strip("'").rpartition(".")[2] == "state" for key in named):
                        yield f"line {node.lineno} sets a state in an UPDATE"

    in_node = (name for name in SOURCES if name.startswith("node/") and "/migrations/" not in name)
    assert faults_of(set_here, in_node) == []
