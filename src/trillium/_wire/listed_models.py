"""The names in a provider's list of models, which OpenAI and Anthropic give in the same form."""

from __future__ import annotations

from collections.abc import Sequence

from trillium._wire.error_body import error_in
from trillium._wire.fault_rules import body_fault
from trillium._wire.json_text import NotJSONError, list_in, mapping_in, parse_json, text_in
from trillium.errors import Fault


def read_listed_models(body: bytes) -> Sequence[str] | Fault:
    """Read `{"data": [{"id"}]}`, a bare list of such (Together), or one `{"id"}`.

    Returns:
        The names, in the order given; or the fault that the body is.
    """
    try:
        value = parse_json(body)
    except NotJSONError:
        return body_fault(body)
    fields = mapping_in(value)
    if isinstance(value, list):
        models = value
    elif isinstance(fields.get("data"), list):
        models = list_in(fields["data"])
    elif "id" in fields:
        models = [value]
    else:
        return body_fault(body)
    if error_in(value) is not None:
        return body_fault(body)
    names = (text_in(mapping_in(model).get("id")) for model in models)
    return [name for name in names if name]
