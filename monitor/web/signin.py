"""`/login`: a form for a token, which a session cookie then stands for, and `/logout`.

A form works without JavaScript. Signing in is nobody else's business: what a page of another site sends is refused.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import attrs
from starlette.responses import RedirectResponse

from monitor.core.links import Links
from monitor.web import asking
from monitor.web.answers import failure
from monitor.web.gate import GuessingError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from monitor.web import Face
    from monitor.web.access import Caller
    from monitor.web.assets import Looks
    from monitor.web.gate import Gate

FOREIGN = "This form was sent from a page of another site."


@attrs.frozen
class SignIn:
    """The answers."""

    face: Face
    gate: Gate
    looks: Looks

    async def form(self, request: Request, caller: Caller) -> Response:
        """Show the form, or who is signed in."""
        return await self._page(request, caller)

    async def sign_in(self, request: Request, caller: Caller) -> Response:
        """Look at the token: 303 to the first page with a session, or the form again."""
        if caller.foreign:
            return failure(request, 403, FOREIGN)
        token = (await asking.form(request, "token")).get("token", "").strip()
        try:
            session = self.gate.sign_in(request.scope, token)
        except GuessingError as exc:
            wait = math.ceil(exc.wait)
            answer = await self._page(
                request, caller, 429, f"Too many wrong tokens; the next one is looked at in {wait} s."
            )
            answer.headers["retry-after"] = str(wait)
            return answer
        if session is None:
            answer = await self._page(request, caller, 401, "This is not one of the tokens.")
            answer.headers["www-authenticate"] = 'Bearer realm="monitor"'
            return answer
        self.gate.sign_out(request.scope)  # whoever signs in anew leaves nothing behind
        return self._away(request, Links.within(request.scope["path"]).overview, session)

    async def sign_out(self, request: Request, caller: Caller) -> Response:
        """End the session: 303 to the form."""
        if caller.foreign:
            return failure(request, 403, FOREIGN)
        self.gate.sign_out(request.scope)
        return self._away(request, Links.within(request.scope["path"]).login, None)

    async def _page(self, request: Request, caller: Caller, status: int = 200, wrong: str | None = None) -> Response:
        access = self.face.config.access
        return await self.looks.page(
            "login.html",
            request,
            caller,
            status,
            role=caller.role.name.lower(),
            signed_in=self.gate.signed_in(request.scope),
            tokens=bool(access.read_token or access.admin_token),
            public=caller.public,
            wrong=wrong,
        )

    def _away(self, request: Request, where: str, session: str | None) -> Response:
        answer = RedirectResponse(where, 303)
        answer.headers.append("set-cookie", self.gate.cookie(request.scope, session))
        return answer
