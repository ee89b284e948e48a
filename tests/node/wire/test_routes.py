from __future__ import annotations

from node.wire.config import Document, digest, parse_document
from node.wire.routes import ROLES, ROUTES, Role


def test_roles_are_in_order() -> None:
    assert Role.OPEN < Role.VIEWER < Role.OPERATOR < Role.ADMIN


def test_reading_needs_a_viewer_and_changing_more() -> None:
    for route in ROUTES:
        if route.method in ("GET", "HEAD"):
            assert route.role <= Role.OPERATOR
        else:
            assert route.role >= Role.OPERATOR
    assert ROLES["PUT", "/v1/config"] is Role.ADMIN


def test_the_document_is_checked_before_it_is_pushed_as_the_node_will_check_it() -> None:
    assert parse_document({}) == Document()
    assert len(digest({})) == 64
