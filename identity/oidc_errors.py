"""Refusals of the OpenID provider: the RFC's ``error`` for programs, our stable ``code``, a sentence for people.

The English sentence is also the ``error_description``: no quotation mark or backslash in it (RFC 6749 §5.2).
"""

import uuid
from typing import ClassVar

from keys.base.errors import FujieError


class OAuthError(FujieError):
    """A refusal in the shape of RFC 6749 §5.2 (token endpoint) or §4.1.2.1 (sent to the client's redirect address)."""

    error: ClassVar[str] = "invalid_request"
    code = "INVALID_REQUEST"
    status = 400
    public = ("请求格式不正确。", "The request is malformed.")
    audited: ClassVar[bool] = False

    @property
    def description(self) -> str:
        return self.public[1]


# ── Shown on a page of ours, because the redirect address cannot be trusted (RFC 6749 §4.1.2.1) ──


class UnknownClient(OAuthError):
    code = "UNKNOWN_CLIENT"
    public = ("该应用没有在本平台登记，已停止登录。", "This application is not registered here. The log-in was stopped.")
    error = "invalid_client"
    audited = True


class RedirectMismatch(OAuthError):
    code = "REDIRECT_URI_MISMATCH"
    public = ("该应用的返回地址与登记的不一致，已停止登录。", "The return address is not the registered one. The log-in was stopped.")
    audited = True


class RepeatedParameter(OAuthError):
    code = "REPEATED_PARAMETER"
    public = ("请求中的参数重复。", "A parameter of the request is repeated.")


# ── Authorisation endpoint, sent to the client ──


class PkceRequired(OAuthError):
    code = "PKCE_REQUIRED"
    public = ("该应用没有使用 PKCE（S256）。", "PKCE with the method S256 is required.")
    audited = True


class UnsupportedResponseType(OAuthError):
    code = "UNSUPPORTED_RESPONSE_TYPE"
    error = "unsupported_response_type"
    public = ("不支持该 response_type。", "Only the response type code is supported.")


class UnsupportedResponseMode(OAuthError):
    code = "UNSUPPORTED_RESPONSE_MODE"
    public = ("不支持该 response_mode。", "Only the response mode query is supported.")


class UnauthorizedClient(OAuthError):
    code = "UNAUTHORIZED_CLIENT"
    error = "unauthorized_client"
    public = ("该应用未获准使用这种方式。", "The client may not use this grant.")
    audited = True


class InvalidScope(OAuthError):
    code = "INVALID_SCOPE"
    error = "invalid_scope"
    public = ("该应用未获准请求这些权限。", "The client may not ask for this scope.")


class RequestNotSupported(OAuthError):
    code = "REQUEST_NOT_SUPPORTED"
    error = "request_not_supported"
    public = ("不支持 request 参数。", "The parameter request is not supported.")


class RequestUriNotSupported(OAuthError):
    code = "REQUEST_URI_NOT_SUPPORTED"
    error = "request_uri_not_supported"
    public = ("不支持 request_uri 参数。", "The parameter request_uri is not supported.")


class RegistrationNotSupported(OAuthError):
    code = "REGISTRATION_NOT_SUPPORTED"
    error = "registration_not_supported"
    public = ("不支持 registration 参数。", "The parameter registration is not supported.")


class LoginRequired(OAuthError):
    code = "LOGIN_REQUIRED"
    error = "login_required"
    public = ("需要登录。", "The person has to log in.")


class ConsentRequired(OAuthError):
    code = "CONSENT_REQUIRED"
    error = "consent_required"
    public = ("需要本人同意。", "The person has to consent.")


class AuthenticationTooWeak(OAuthError):
    code = "UNMET_AUTHENTICATION_REQUIREMENTS"
    error = "unmet_authentication_requirements"
    public = ("登录方式未达到该应用要求的强度。", "The log-in does not reach the demanded level.")


class AccessDenied(OAuthError):
    code = "ACCESS_DENIED"
    error = "access_denied"
    public = ("本人没有同意。", "The person did not consent.")


# ── Token, introspection and revocation endpoints ──


class ClientAuthenticationFailed(OAuthError):
    code = "CLIENT_AUTHENTICATION_FAILED"
    status = 401
    error = "invalid_client"
    public = ("应用身份验证失败。", "Client authentication failed.")
    audited = True

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": 'Basic realm="fujie", charset="UTF-8"'}


class UnsupportedGrantType(OAuthError):
    code = "UNSUPPORTED_GRANT_TYPE"
    error = "unsupported_grant_type"
    public = ("不支持该 grant_type。", "This grant type is not supported.")


class InvalidGrant(OAuthError):
    """A code or refresh token that is not good; its subclasses say why. ``grant_id``: the grant to revoke because of it."""

    code = "INVALID_GRANT"
    error = "invalid_grant"
    public = ("授权无效。", "The grant is not valid.")
    audited = True

    def __init__(self, detail: str = "", *, grant_id: uuid.UUID | None = None) -> None:
        super().__init__(detail)
        self.grant_id = grant_id


class CodeUnknown(InvalidGrant):
    code = "CODE_UNKNOWN"
    public = ("授权码不存在。", "The code is unknown.")


class CodeExpired(InvalidGrant):
    code = "CODE_EXPIRED"
    public = ("授权码已过期。", "The code has expired.")


class CodeReused(InvalidGrant):
    code = "CODE_REUSED"
    public = ("授权码已被使用，由它取得的令牌已全部撤销。", "The code was used before. Everything issued from it is revoked.")


class CodeRedirectMismatch(InvalidGrant):
    code = "CODE_REDIRECT_URI_MISMATCH"
    public = ("返回地址与取得授权码时不同。", "The redirect address is not the one of the authorisation request.")


class PkceFailed(InvalidGrant):
    code = "PKCE_FAILED"
    public = ("PKCE 校验失败。", "The code verifier does not match.")


class RefreshTokenUnknown(InvalidGrant):
    code = "REFRESH_TOKEN_UNKNOWN"
    public = ("刷新令牌不存在。", "The refresh token is unknown.")


class RefreshTokenExpired(InvalidGrant):
    code = "REFRESH_TOKEN_EXPIRED"
    public = ("刷新令牌已过期。", "The refresh token has expired.")


class RefreshTokenReused(InvalidGrant):
    code = "REFRESH_TOKEN_REUSED"
    public = ("刷新令牌被重复使用，相关令牌已全部撤销。", "The refresh token was used before. Everything of its family is revoked.")


class GrantRevoked(InvalidGrant):
    code = "GRANT_REVOKED"
    public = ("该授权已被撤销。", "The grant was revoked.")


class TooManyFailures(OAuthError):
    """``extra['retry_after']`` is in seconds."""

    code = "TOO_MANY_ATTEMPTS"
    status = 429
    error = "temporarily_unavailable"
    public = ("失败次数过多，请稍后再试。", "Too many failures of this client. Try again later.")

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.extra["retry_after"])}
