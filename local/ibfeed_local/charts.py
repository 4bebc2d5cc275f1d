"""Makes the Helm chart's templates of `manifests/`, and its values and their table of the values' schema.

`manifests/` is what we write and what the tests deploy. A chart of its own would be a second copy by hand. A template
is a manifest's text, comments included, in which the rules below put a value in the place of what is written there. So
a new object of `manifests/` is in the chart by itself.
"""

from __future__ import annotations

import json
import re
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ibfeed_local.problem import ProblemError
from ibfeed_local.state import SOURCE

CHART = SOURCE / "charts" / "ibfeed"
MANIFESTS = SOURCE / "manifests"
# Folder of manifests -> the value that asks for its objects.
CONDITIONS = {"operator": "", "simulator": "simulator.enabled", "monitoring": "monitoring.enabled"}
OF_A_FILE = {"operator/user-roles.yaml": "userRoles.enabled"}
LEFT_OUT = ("operator/namespace.yaml",)  # a release's namespace is there before the release: see NOTES.txt
BEGIN, END = "<!-- values -->", "<!-- end of values -->"
COLUMNS = 120


@dataclass(frozen=True)
class Rule:
    """In a manifest that contains `written`, which it does once, `template` stands in its place."""

    file: str
    written: str
    template: str


def _image(name: str) -> str:
    return f'{{{{ include "ibfeed.image" (dict "name" "{name}" "root" $) }}}}'


def _block(value: str, indent: int) -> str:
    """Return the lines of a field of a pod that stands only where the value does."""
    space = " " * indent
    field = value.rpartition(".")[2]
    lines = (
        f"{{{{- with .Values.{value} }}}}",
        f"{field}: {{{{- toYaml . | nindent {indent + 2} }}}}",
        "{{- end }}",
    )
    return "".join(f"{space}{line}\n" for line in lines)


_POD = "      enableServiceLinks: false\n"
_SCOPE = """{{ if .Values.watchNamespace }}RoleBinding{{ else }}ClusterRoleBinding{{ end }}
metadata:
  name: {{ if .Values.watchNamespace }}ibfeed-operator-feeds{{ else }}ibfeed-operator{{ end }}
  {{- with .Values.watchNamespace }}
  namespace: {{ . }}
  {{- end }}
"""
RULES = (
    Rule("operator/deployment.yaml", "replicas: 1", "replicas: {{ .Values.replicas }}"),
    Rule("operator/deployment.yaml", "ibfeed/operator:0.1.0", _image("operator")),
    Rule("operator/deployment.yaml", "ibfeed/worker:0.1.0", _image("worker")),
    Rule("operator/deployment.yaml", "ibfeed/platform:0.1.0", _image("platform")),
    Rule("operator/deployment.yaml", "IfNotPresent", "{{ .Values.image.pullPolicy }}"),
    Rule("operator/deployment.yaml", 'value: ""', "value: {{ .Values.watchNamespace | quote }}"),
    Rule("operator/console.yaml", "ibfeed/operator:0.1.0", _image("operator")),
    Rule("operator/console.yaml", "IfNotPresent", "{{ .Values.image.pullPolicy }}"),
    Rule("operator/console.yaml", 'value: ""', "value: {{ .Values.watchNamespace | quote }}"),
    Rule(
        "operator/deployment.yaml",
        _POD,
        _POD
        + "".join(
            _block(value, 6)
            for value in ("imagePullSecrets", "nodeSelector", "tolerations", "affinity", "priorityClassName")
        ),
    ),
    Rule(
        "operator/deployment.yaml",
        "          requests: {cpu: 50m, memory: 128Mi}\n          limits: {memory: 512Mi}\n",
        "          {{- toYaml .Values.resources | nindent 10 }}\n",
    ),
    Rule("operator/rbac.yaml", "ClusterRoleBinding\nmetadata:\n  name: ibfeed-operator\n", _SCOPE),
    Rule("simulator/venue.yaml", "ibfeed/simulator:0.1.0", _image("simulator")),
    Rule("simulator/vault.yaml", "ibfeed/simulator:0.1.0", _image("simulator")),
    Rule("simulator/venue.yaml", "IfNotPresent", "{{ .Values.image.pullPolicy }}"),
    Rule("simulator/vault.yaml", "IfNotPresent", "{{ .Values.image.pullPolicy }}"),
)


def generate() -> str:
    """Write the files that are made; return a word on them."""
    made = files()
    for folder in CONDITIONS:
        shutil.rmtree(CHART / "templates" / folder, ignore_errors=True)
    for path, text in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return f"{len(made)} files"


def files() -> dict[Path, str]:
    """Return the text of every file that is made, by its path."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    made = {CHART / "templates" / name: template(name) for name in _manifests()}
    made[CHART / "values.yaml"] = values(schema)
    readme = (CHART / "README.md").read_text()
    before, _, rest = readme.partition(BEGIN)
    made[CHART / "README.md"] = f"{before}{BEGIN}\n{table(schema)}{END}{rest.partition(END)[2]}"
    return made


def template(name: str) -> str:
    """Return the template of one manifest, such as `operator/rbac.yaml`. Raises ProblemError if a rule does not fit."""
    text = re.sub(r"\{\{[^`]*?\}\}", lambda found: f"{{{{`{found[0]}`}}}}", (MANIFESTS / name).read_text())
    for rule in RULES:
        if rule.file == name:
            if text.count(rule.written) != 1:
                raise ProblemError(
                    f"manifests/{name} has {rule.written!r} {text.count(rule.written)} times, and not once",
                    "Mend the rule in local/ibfeed_local/charts.py, which puts a value of the chart in its place.",
                )
            text = text.replace(rule.written, rule.template)
    text = text.replace("namespace: ibfeed-system", "namespace: {{ .Release.Namespace }}")
    condition = OF_A_FILE.get(name, CONDITIONS[name.partition("/")[0]])
    remark = f"Made by `make charts` of manifests/{name}: change that, or the rules in local/ibfeed_local/charts.py."
    head = f"{{{{- /* {remark} */}}}}\n"
    return f"{head}{{{{- if .Values.{condition} }}}}\n{text}{{{{- end }}}}\n" if condition else head + text


def values(schema: dict[str, Any]) -> str:
    """Return values.yaml: each value's default under what the schema says of it."""
    head = "# Made by `make charts` of values.schema.json, by which Helm checks the values: change that.\n"
    return head + "".join(_written(schema, 0))


def table(schema: dict[str, Any]) -> str:
    """Return the README's table of the values."""
    rows = "".join(
        f"| `{name}` | `{json.dumps(value['default'])}` | {value['description']} |\n" for name, value in leaves(schema)
    )
    return f"\n| value | default | what |\n|---|---|---|\n{rows}\n"


def leaves(schema: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and schema of each value that has a default."""
    for name, value in schema["properties"].items():
        if "default" in value:
            yield f"{prefix}{name}", value
        else:
            yield from leaves(value, f"{prefix}{name}.")


def _written(schema: dict[str, Any], indent: int) -> Iterator[str]:
    space = " " * indent
    for name, value in schema["properties"].items():
        yield "".join(f"{space}# {line}\n" for line in textwrap.wrap(value["description"], COLUMNS - indent - 2))
        if "default" in value:
            yield f"{space}{name}: {json.dumps(value['default'])}\n"
        else:
            yield f"{space}{name}:\n"
            yield from _written(value, indent + 2)


def _manifests() -> Iterator[str]:
    for folder in CONDITIONS:
        listed = re.findall(r"^- (\S+\.yaml)$", (MANIFESTS / folder / "kustomization.yaml").read_text(), re.MULTILINE)
        yield from (name for file in listed if (name := f"{folder}/{file}") not in LEFT_OUT)
