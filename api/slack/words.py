"""What the bot itself says, in the languages it has; answers are in the words of the documents."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_EN: Mapping[str, str] = MappingProxyType(
    {
        "looking": "Looking …",
        "queued": "I am on it …",
        "page": "page {n}",
        "open": "Open page",
        "evidence": "Show evidence",
        "rest": "Show the rest",
        "share": "Share to channel",
        "stop": "Stop",
        "good": "Good answer",
        "bad": "Bad answer",
        "thanks": "Thank you: noted.",
        "why": "What was wrong?",
        "send": "Send",
        "cancel": "Cancel",
        "feedback": "Feedback",
        "searched": "I searched for: {what}",
        "nearest": "The pages that came nearest:",
        "dropped": "{n} left out: a check or a rail said no.",
        "stopped": "Stopped.",
        "sorry": "I am sorry: I could not finish this answer. {why} Ask again by editing your message.",
        "more": "{n} more sources",
        "unknown": "I do not know what you may read, so I cannot answer you. {how}",
        "sign_in": "Sign in here: {url}",
        "ask_admin": "Ask whoever runs Pagewarden here to add your address.",
        "rest_for_you": "There is more on this in documents that not everyone here may read.",
        "show_me": "Answer only me",
        "cannot_share": "Not shared: not everyone here may read what it stands on.",
        "shared_by": "Shared by {who}",
        "gone": "That answer is no longer here. Ask again.",
        "not_yours": "This is not there for you.",
        "no_picture": "There is no picture of that place.",
        "evidence_sent": "I sent it to you directly: not everyone here may see it.",
        "read_file": "I have read {name} ({pages} pages). Ask about it here.",
        "not_read": "I could not read {name}: {why}",
        "empty": "Ask me something about your documents.",
        "question": "Your question",
        "ask": "Ask",
        "whole": "The whole answer",
    }
)
_DE: Mapping[str, str] = MappingProxyType(
    {
        "looking": "Ich sehe nach …",
        "queued": "Ich sehe nach …",
        "page": "Seite {n}",
        "open": "Seite öffnen",
        "evidence": "Beleg zeigen",
        "rest": "Rest zeigen",
        "share": "Im Kanal teilen",
        "stop": "Anhalten",
        "good": "Gute Antwort",
        "bad": "Schlechte Antwort",
        "thanks": "Danke, notiert.",
        "why": "Was war falsch?",
        "send": "Senden",
        "cancel": "Abbrechen",
        "feedback": "Rückmeldung",
        "searched": "Gesucht habe ich nach: {what}",
        "nearest": "Am nächsten kamen:",
        "dropped": "{n} weggelassen: eine Prüfung oder Regel sprach dagegen.",
        "stopped": "Angehalten.",
        "sorry": "Leider wurde diese Antwort nicht fertig. {why} Bearbeite die Nachricht, um neu zu fragen.",
        "more": "{n} weitere Quellen",
        "unknown": "Ich weiß nicht, was du lesen darfst, und kann dir darum nicht antworten. {how}",
        "sign_in": "Hier anmelden: {url}",
        "ask_admin": "Bitte die Verwaltung von Pagewarden, deine Adresse einzutragen.",
        "rest_for_you": "Mehr dazu steht in Dokumenten, die hier nicht alle lesen dürfen.",
        "show_me": "Nur mir antworten",
        "cannot_share": "Nicht geteilt: Nicht alle hier dürfen lesen, worauf es sich stützt.",
        "shared_by": "Geteilt von {who}",
        "gone": "Diese Antwort gibt es nicht mehr. Frag bitte neu.",
        "not_yours": "Das ist nicht für dich da.",
        "no_picture": "Von dieser Stelle gibt es kein Bild.",
        "evidence_sent": "Ich habe es dir direkt geschickt: Nicht alle hier dürfen es sehen.",
        "read_file": "{name} ist gelesen ({pages} Seiten). Frag hier danach.",
        "not_read": "{name} konnte ich nicht lesen: {why}",
        "empty": "Frag mich etwas über eure Dokumente.",
        "question": "Deine Frage",
        "ask": "Fragen",
        "whole": "Die ganze Antwort",
    }
)
_LANGUAGES: Mapping[str, Mapping[str, str]] = MappingProxyType({"en": _EN, "de": _DE})


def say(word: str, language: str = "en", **filling: object) -> str:
    """Return a phrase; English where a language lacks it."""
    phrase = _LANGUAGES.get(language, _EN).get(word) or _EN[word]
    return phrase.format(**filling)
