"""Hands mails to a mail server (SMTP, RFC 5321), over TLS unless the settings say otherwise."""

from __future__ import annotations

import logging
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage

from config.mail import Mail
from models.errors import UserError

log = logging.getLogger(__name__)


class MailRefused(UserError):
    """The mail server did not take a mail; the message says why, without a password."""


def send(mail: Mail, message: EmailMessage) -> None:
    """Returns when the server has taken the mail for at least one recipient. Recipients that it refuses are a warning:
    the others have the mail, and would get it again.

    Raises:
        MailRefused: nobody gets it.
    """
    with _server(mail) as server:
        refused = server.send_message(message)
    if refused:
        log.warning(
            "%s refuses %d of %d recipients, the others have the mail: look at recipients",
            _name(mail),
            len(refused),
            len(mail.recipients),
        )


def mail_echo(mail: Mail) -> None:
    """Verifies that the server answers and lets the node in. Sends nothing.

    Raises:
        MailRefused
    """
    with _server(mail) as server:
        server.noop()


@contextmanager
def _server(mail: Mail) -> Iterator[smtplib.SMTP]:
    """A connection, with TLS and signed in as the settings say."""
    password, trusted = _password(mail), _trusted(mail)
    try:
        server = _connected(mail, trusted)
        try:
            if mail.security == "starttls":
                server.starttls(context=trusted)
            if mail.user is not None:
                _sign_in(server, mail, mail.user, password)
            yield server
            with suppress(smtplib.SMTPException, OSError):  # what it has taken it has taken, however it says goodbye
                server.quit()
        finally:
            server.close()
    except smtplib.SMTPAuthenticationError as error:
        raise MailRefused(f"{_name(mail)} does not let the node in: look at user and password_file") from error
    except smtplib.SMTPNotSupportedError as error:
        raise MailRefused(f"{_name(mail)} has no STARTTLS, or no sign-in: look at security, port and user") from error
    except smtplib.SMTPSenderRefused as error:
        raise MailRefused(f"{_name(mail)} refuses the sender ({error.smtp_code}): look at sender") from error
    except smtplib.SMTPRecipientsRefused as error:
        raise MailRefused(f"{_name(mail)} refuses the recipients: look at recipients") from error
    except smtplib.SMTPResponseException as error:
        raise MailRefused(f"{_name(mail)} answers {error.smtp_code}: it takes no mail now") from error
    except ssl.SSLError as error:
        raise MailRefused(f"{_name(mail)}: no secure connection: look at security, port and ca_file") from error
    except (smtplib.SMTPException, OSError) as error:
        raise MailRefused(f"{_name(mail)} does not answer (waited up to {mail.timeout_s:g} s)") from error
    except ValueError as error:  # a name that is no host's; an answer that is no SMTP
        raise MailRefused(f"{_name(mail)} cannot be used ({type(error).__name__}): look at host and port") from error


def _sign_in(server: smtplib.SMTP, mail: Mail, user: str, password: str) -> None:
    try:
        server.login(user, password)
    except UnicodeEncodeError:  # smtplib signs in with ASCII only
        raise MailRefused(
            f"the node cannot sign in to {_name(mail)}: user, or the password in password_file, has characters that "
            "are not ASCII: give the account others"
        ) from None  # the exception quotes the password


def _trusted(mail: Mail) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=mail.ca_file)
    except (OSError, ValueError) as error:
        raise MailRefused(f"ca_file {mail.ca_file} cannot be read, or has no certificate") from error


def _connected(mail: Mail, trusted: ssl.SSLContext) -> smtplib.SMTP:
    host = mail.host or ""
    if mail.security == "tls":
        return smtplib.SMTP_SSL(host, mail.port, timeout=mail.timeout_s, context=trusted)
    return smtplib.SMTP(host, mail.port, timeout=mail.timeout_s)


def _password(mail: Mail) -> str:
    if mail.password_file is None:
        return ""
    try:
        return mail.password_file.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, ValueError) as error:
        raise MailRefused(f"password_file {mail.password_file} cannot be read") from error


def _name(mail: Mail) -> str:
    return f"the mail server {mail.host}:{mail.port}"
