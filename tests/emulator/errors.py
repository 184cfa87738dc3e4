"""Refusals of the portal's REST server: codes, statuses and texts as its source has them."""

from typing import Any

# The statuses follow the server's source where the documentation disagrees: every failed
# authorisation is a 401, whatever its code.
_KNOWN: dict[str, tuple[int, str]] = {
    "NO_AUTH_FOUND": (401, "Wrong authorization data"),
    "INVALID_CREDENTIALS": (401, "Invalid request credentials"),
    "expired_token": (401, "The access token provided has expired."),
    "invalid_token": (401, "Unable to get application by token"),
    "APPLICATION_NOT_FOUND": (401, "Application not found"),
    "ERROR_OAUTH": (401, "Application not installed"),
    "NOT_INSTALLED": (401, "Application not installed"),
    "authorization_error": (401, "Unable to authorize user"),
    "user_access_error": (401, "The user does not have access to the application."),
    "insufficient_scope": (
        401,
        "The request requires higher privileges than provided by the access token",
    ),
    "PAYMENT_REQUIRED": (401, "Subscription has been ended"),
    "OVERLOAD_LIMIT": (401, "REST API is blocked due to overload."),
    "CONNECTION_ERROR": (401, "Error connecting to authorization server"),
    "METHOD_CONFIRM_WAITING": (401, "Waiting for confirmation"),
    "ACCESS_DENIED": (403, "Access denied!"),
    "WRONG_AUTH_TYPE": (403, "Current authorization type is denied for this method"),
    "PORTAL_DELETED": (403, "Portal was deleted"),
    "ERROR_METHOD_NOT_FOUND": (404, "Method not found!"),
    "ERROR_BATCH_METHOD_NOT_ALLOWED": (405, "Method is not allowed for batch usage"),
    "ERROR_BATCH_LENGTH_EXCEEDED": (400, "Max batch length exceeded"),
    "OPERATION_TIME_LIMIT": (429, "Method is blocked due to operation time limit."),
    "QUERY_LIMIT_EXCEEDED": (503, "Too many requests"),
    "INTERNAL_SERVER_ERROR": (500, "Internal server error"),
    "ERROR_CORE": (400, "SQL query error!"),
    "ERROR_ARGUMENT": (400, "JSON error: Syntax error [4]"),
}


class RestError(Exception):
    """An answer with `error` in it; neither `result` nor `time` accompanies it."""

    def __init__(
        self,
        code: str,
        description: str | None = None,
        *,
        status: int | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(code)
        known_status, known_description = _KNOWN.get(code, (400, ""))
        self.code = code
        self.status = known_status if status is None else status
        self.description = known_description if description is None else description
        self.extra = extra

    @property
    def body(self) -> dict[str, Any]:
        """Return the answer's body."""
        return {"error": self.code, "error_description": self.description, **self.extra}

    @property
    def body_in_batch(self) -> dict[str, Any]:
        """Return the entry of `result_error`: a missing scope comes without a text there."""
        if self.code == "insufficient_scope":
            return {"error": self.code, "error_description": ""}
        return self.body
