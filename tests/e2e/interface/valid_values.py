"""What the document's formats mean, for schemathesis, which knows none of them: only so it sends what is right."""

import base64
import json
import os

import schemathesis
from hypothesis import strategies as st

STORED = json.loads(os.environ["STARCROSS_STORED"])
"""By format: texts that are right for the tested service; and by parameter's operation, ids that it has."""
OBJECT = os.environ["STARCROSS_OBJECT"]
MAP = base64.b64decode(os.environ["STARCROSS_MAP"])

for name, texts in STORED.items():
    schemathesis.openapi.format(name, st.sampled_from(texts))
schemathesis.openapi.format("binary", st.just(MAP))
schemathesis.openapi.format("base64-map", st.just(base64.b64encode(MAP).decode()))
for content_type in ("application/fits", "image/fits", "application/octet-stream"):
    schemathesis.openapi.media_type(content_type, st.just(MAP))


@schemathesis.hook.apply_to(operation_id="getObject")
def map_path_parameters(_context, path_parameters):
    """No operation lists objects, so that it would find none by itself."""
    return path_parameters | {"id": OBJECT}
