# SPDX-License-Identifier: Apache-2.0
"""Values against the schemas of an OpenAPI file. A schema of the file allows further fields
(clients must ignore them); here none is allowed, so that a new field of a reply must be written
into the file.
"""

import copy

import jsonschema


def close(schema):
    """No object may have more fields than it lists."""
    if isinstance(schema, dict):
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
        for part in schema.values():
            close(part)
    elif isinstance(schema, list):
        for part in schema:
            close(part)


class Schemas:
    def __init__(self, file):
        self.components = copy.deepcopy(file["components"])
        close(self.components)

    def errors(self, name, value):
        """What makes it no `name`, as text; empty: nothing does."""
        schema = {"$ref": f"#/components/schemas/{name}", "components": self.components}
        found = list(jsonschema.Draft202012Validator(schema).iter_errors(value))
        return "; ".join(f"{'/'.join(map(str, e.path))}: {e.message[:200]}" for e in found[:3])
