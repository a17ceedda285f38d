"""Known phrases that try to take over: override, role, probing, forged turns, hidden orders.

A deterministic floor, tuned to keep quiet: text that merely talks about injections or instructions passes,
and only an order aimed at the reader counts. One strong phrase is enough; a weak one needs a second one.
What a text says in disguise (`disguise.py`) is held against the strong cores without blanks, and where the
disguise keeps the words apart, against all phrases.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from guardrails import disguise

CODES = frozenset({"override", "role_play", "prompt_probing", "forged_turn", "hidden_order", "disguised"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """How much a text tries to take over: 1.0 is one strong phrase, 0.5 a weak one."""

    score: float
    #: The family of the strongest phrase; "" for none.
    code: str


NOTHING = Finding(score=0.0, code="")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Phrase:
    """One pattern over words parted by single blanks; searched only where an anchor stands in the text."""

    code: str
    weight: float
    anchors: tuple[str, ...]
    pattern: re.Pattern[str]
    #: An order counts only where it is given ("ignore …", "you must ignore …"), not where it is told of.
    order: bool


def _phrase(code: str, weight: float, anchors: str, pattern: str, *, order: bool = False) -> _Phrase:
    joined = re.sub(r"\n\s*", "", pattern)
    return _Phrase(
        code=code,
        weight=weight,
        anchors=tuple(anchors.split("|")),
        pattern=re.compile(rf"(?<!\w)(?:{joined})(?!\w)"),
        order=order,
    )


_DROP = (
    r"(?:ignore|disregard|forget|override|overrule|bypass|discard|abandon|neglect|dismiss|erase|set aside"
    r"|pay no attention to|(?:do not|don t|stop|no longer|never) (?:follow|obey|following|obeying"
    r"|listen to|adhere to))"
)
_EARLIER = (
    r"(?:previous|previously|prior|preceding|above|earlier|foregoing|former|past|initial|original|existing"
    r"|current|system|old"
    r"|other|default|hidden|given|safety|developer|openai)"
)
_ORDERS = (
    r"(?:instructions?|directions?|directives?|prompts?|rules?|guidelines?|guidance|commands?|orders"
    r"|constraints|restrictions"
    r"|polic(?:y|ies)|programming|training|guardrails?|protocols?|safeguards|limitations|conversations?"
    r"|messages|context"
    r"|texts?|content|statements?|tasks?|assignments?|queries|requests?|settings|configurations?)"
)
_OWN = (
    r"(?:instructions|directives|guidelines|rules|programming|training|guardrails|restrictions|protocols"
    r"|safeguards"
    r"|polic(?:y|ies)|filters?|limitations|ethics|morals|(?:system )?prompt)"
)
_SAID = (
    r"(?:you (?:were|have been|had been|are|ve been) (?:told|given|instructed|taught|programmed)(?: to do)?"
    r"|i (?:have |ve )?(?:said|told you|asked)|came before|(?:is|was|comes|came|written|stated|said"
    r"|read) (?:above|before))"
)
_FREE = (
    r"(?:unrestricted|unfiltered|uncensored|unlimited|unbound|unchained|unethical|amoral|jailbroken"
    r"|evil|rogue|malicious|immoral)"
)
_LIMITS = (
    r"(?:restrictions?|limitations?|limits|filters?|filtering|censorship|guidelines?|rules|ethics|morals?"
    r"|morality|boundaries"
    r"|constraints|safeguards?|guardrails?|polic(?:y|ies)|regulations|standards|principles|warnings?"
    r"|disclaimers?)"
)
_AI = (
    r"(?:ai|ais|llm|llms|language models?|chat ?bots?|chatgpt|assistants?|gpt|claude|gemini|llama|bots?"
    r"|ai (?:models?|agents?|systems?|assistants?))"
)
_SHOW = (
    r"(?:reveal|show|print|display|output|repeat|recite|leak|disclose|expose|dump|echo|share|tell|give"
    r"|write|list|summari[sz]e"
    r"|translate|paste|return|provide|state|copy|spell out|what (?:is|are|was|were)|what s|describe|encode)"
)
_FILL = (
    r"(?:(?:completely|entirely|absolutely|just|please|about|all|any|every|each|of|the|these|those|this"
    r"|that|your|my|our|its|and|both) ){0,5}"
)
_BAD = (
    r"(?:unethical|immoral|illegal|harmful|dangerous|offensive|inhumane|explicit|inappropriate|unlawful"
    r"|criminal|toxic|hateful|nsfw)"
)

_PHRASES = (
    # People write it to each other as well ("ignore my previous message"): alone it is no attack.
    _phrase(
        "override",
        0.5,
        "message",
        rf"{_DROP} {_FILL}(?:{_EARLIER}|last) message",
        order=True,
    ),
    # -- override: drop what you were told
    _phrase(
        "override", 1.0, "ignore|disregard|forget|overr|bypass|discard|abandon|neglect|dismiss|erase|aside"
        "|attention|follow|obey|listen|adhere",
        rf"""{_DROP} {_FILL}{_EARLIER} (?:and {_EARLIER} )?(?:\w+ ){{0,2}}?{_ORDERS}
        |{_DROP} {_FILL}{_ORDERS} (?:(?:that|which|you|were|was|have|been|in the|from the|given|provided
        |shown|i|we) ){{0,5}}
        (?:above|before this|before|previously|earlier|{_SAID})""",
        order=True,
    ),
    _phrase(
        "override", 1.0, "ignore|disregard|forget|overr",
        rf"""{_DROP} (?:(?:all|any|of|every|completely) ){{0,3}}your (?:(?:own|core|built in|safety|ethical
        |content|default|security|internal
        |openai|moral|programmed|current|usual) ){{0,3}}{_OWN}
        |{_DROP} (?:absolutely |just |completely )?(?:everything|anything|all|what|whatever)(?: of (?:that
        |this))?(?: that)? {_SAID}
        |(?:ignore|disregard|forget) (?:everything|anything|all) (?:from |that came |you knew )?before
        |{_DROP} (?:everything|all|the (?:text|content|words?|lines?)) (?:above|before this
        |prior to this)(?= (?:and|this|instead|then|\.|now|print|say|just|output)|$)""",
        order=True,
    ),
    _phrase(
        "override", 1.0, "overrid|supersede|precedence",
        rf"""(?:this|these|my|the following) (?:\w+ ){{0,3}}(?:overrides?|supersedes?
        |takes? precedence over) (?:(?:all|any|your|of|every) ){{1,3}}
        (?:{_EARLIER} )?(?:\w+ )?(?:instructions|rules|directives|prompts?|guidelines|policies)""",
    ),
    _phrase(
        "override", 1.0, "disable|bypass|turn off|deactivate|circumvent|evade|switch off|remove|lift",
        r"""(?:disable|bypass|turn off|deactivate|circumvent|evade|switch off|remove|lift) (?:(?:all|any|of
        |the|every) ){0,3}your (?:\w+ ){0,3}?
        (?:filters?|restrictions|guardrails?|safeguards|guidelines|limitations|protocols|moderation
        |safety (?:\w+ )?(?:measures|features|settings|checks|training))""",
        order=True,
    ),
    _phrase(
        "override", 0.5, "new |actual |real |updated |revised ",
        r"""(?:your|here are|these are|follow|execute)(?: the| your| my| these)? (?:new|actual|real|updated
        |revised) (?:instructions?|tasks?|rules?|orders|directives?|objective|goal|mission)
        |new (?:instructions?|directives?|system prompt|task) (?:follow|are as follows|from the|for you
        |is to|you)""",
    ),
    _phrase(
        "override", 0.5, "instead",
        r"""(?:and|but|then|just) instead (?:just |only |simply )?(?:say|print|output|respond|reply|write
        |answer|tell|return|give)
        |(?:instead|rather) (?:you (?:must|should|will) )?(?:only |just |simply )?(?:say|print|output
        |respond with|reply with|answer with)""",
    ),
    _phrase(
        "override", 0.5, "from now on|starting now|this moment|this point|henceforth|going forward|hereafter",
        r"""(?:from now on|starting now|from this (?:point|moment)(?: on| onwards?| forward)?|henceforth
        |hereafter|going forward) (?:\w+ ){0,2}?
        (?:you|your|act|only|always|respond|answer|ignore|never|every)""",
    ),
    # -- role play: be somebody without rules
    _phrase(
        "role_play", 1.0, "do anything now|dan mode|d a n",
        r"""(?:stands for|can|will|you ll|as|to|called|is|a) do anything now|(?:enter|enable|activate|in|as
        |start|this|with) (?:\w+ )?dan mode|act as (?:a )?dan""",
    ),
    _phrase(
        "role_play", 1.0, " mode",
        r"""(?:you (?:are|re|will be) (?:now )?(?:in|entering|running in)|act as if(?: \w+){0,4}|simulate
        |respond(?: \w+){0,4}|i want you to(?: \w+){0,4}|chatgpt(?: \w+){0,4}|ai(?: \w+){0,3}) (?:\w+ ){0,4}?
        (?:developer|god|jailbreak|debug|admin|unrestricted|sudo|maintenance|root|opposite|chaos
        |evil) mode""",
    ),
    _phrase(
        "role_play", 1.0, "unrestricted|unfiltered|uncensored|unlimited|unbound|unchained|unethical|amoral"
        "|immoral|jailbroken|evil|rogue|malicious",
        rf"""(?:act|behave|respond|answer|speak|role ?play|pretend to be|pose|you are(?: now)?
        |you re(?: now)?|you will be|imagine you are|become|simulate|play the role of)
        (?: (?!story|novel|game)\w+){{0,5}} {_FREE}(?: \w+){{0,2}} (?:{_AI}|version of (?:you|yourself
        |chatgpt|the ai|an ai)|persona|machine|confidant)""",
    ),
    _phrase(
        "role_play", 1.0, "restrict|limit|filter|censor|guideline|rules|ethic|moral|boundar|constraint"
        "|safeguard|guardrail|polic|warning|disclaimer|regulation|standards|principle",
        rf"""(?:you (?:now )?(?:are|re|have|will|must|can|should|do|don t|act)|{_AI} (?:that|who|which
        |with)|act(?:ing|s)?|version of yourself|persona|(?:respond|answer|reply|generate|comply)s?)
        (?: (?!if|while|but)\w+){{0,7}}? (?:without (?:any |all |your )?|no |free (?:from|of) (?:all |any 
        |your )?|not (?:bound|restricted|restrained|limited|constrained|governed) by (?:any |the |your )?
        |(?:is|are|not|longer) (?:bound|restricted|limited|constrained) by (?:any |the |your )?
        |(?:ignores?|bypass(?:es)?|breaks?|violates?) (?:all |any |your ))(?:(?:ethical|moral|legal|safety
        |content|openai|openai s|usual|typical|normal|programmed|built in|internal|or|and|kind of|form of
        |sort of|social|their|these) ){{0,5}}{_LIMITS}""",
    ),
    _phrase(
        "role_play", 0.5, "pretend|act as|act like|roleplay|role play|imagine|you are|you re|simulate"
        "|character|persona|play the|immerse|your name|role of",
        r"""pretend (?:that )?(?:you|to be)|you (?:are|re) (?:now |going to |about to |to )(?:a |an |the 
        |my )?(?:play|act|be|pretend|immerse|become|respond|enter|role ?play|engage|act as|called|named|known)
        |you are now \w+|act(?:ing)? (?:as|like) (?:a|an|my|if)|role ?play(?:ing)? (?:as|with|a)
        |imagine (?:that )?you are|stay(?:s|ing)? in character|remain in character|break(?:ing)? character
        |play the (?:role|part) of|immerse yourself|take on the (?:role|persona)|your (?:new )?(?:name
        |persona|role|character) is(?: now)?|you will (?:act|play|simulate|respond|answer|be acting
        |be playing) (?:as|like|to)|(?:ai|fictional|following) (?:character|persona)""",
    ),
    _phrase(
        "role_play", 0.5, "refus|declin|reject|say no|says no|obey|comply|complies|apologi|censor|can t"
        "|any |every |all ",
        r"""never (?:ever )?(?:refuses?|declines?|rejects?|says? no|apologi[sz]es?|censors?|warns?)
        |never (?:says? )(?:that )?(?:you|it|he|she|they|i) (?:can t|cannot|can not)
        |(?:can ?not|can t|must not|may not|do not|don t|does not|doesn t|not allowed to|unable to|not
        |will not|won t) (?:ever )?(?:refuse|decline|reject|say no|censor|apologi[sz]e|moralize|lecture)
        |(?:must|will|have to) (?:always |blindly )?(?:comply|obey)|always (?:compl(?:y|ies)|obeys?)
        |(?:answers?|fulfills?|completes?|accepts?|does|do|grants?|obeys?) (?:absolutely )?(?:any|every
        |all) (?:\w+ ){0,3}?(?:requests?|questions?|prompts?|commands?|orders?|inquir(?:y|ies)
        |tasks?) (?:no matter|regardless|without|even|and never|that i|i )""",
    ),
    _phrase(
        "role_play", 0.5, "unethical|immoral|illegal|harmful|dangerous|offensive|inhumane|explicit"
        "|inappropriate|ethic|moral|legal",
        rf"""{_BAD} (?:(?:or|and|and or) )?{_BAD}(?: \w+)?|(?:no matter how|even if|regardless of (?:how
        |whether|the|any|its|their)|whether(?: or not)?|never (?:cares?|worr(?:y|ies)|concerned) about
        |no (?:regard|concern|respect) for|does ?n[o ]?t care about|not care about|without regard (?:to|for))
        (?: \w+){{0,5}}? (?:{_BAD}|ethic\w*|moral\w*|legal\w*)""",
    ),
    _phrase(
        "role_play", 0.5, "restrict|limit|filter|censor|ethic|moral",
        rf"""(?:no|without(?: any)?|lacks?|free of(?: all)?|not (?:bound|restrained"
        rf"|restricted) by(?: any)?) (?:\w+ )?{_LIMITS} (?:(?:and|or|nor|set|of|by) )(?:no 
        |any )?(?:\w+ )?(?:{_LIMITS}|openai|whatsoever)""",
    ),
    _phrase(
        "role_play", 0.5, "openai|anthropic|as an ai|confines|shackles|jailbr|disclaimer|warning",
        r"""(?:openai|anthropic)(?: s)?(?: \w+){0,3} (?:polic(?:y|ies)|guidelines|rules|restrictions|terms)
        |(?:do not|don t|never|without|avoid|instead of|not) (?:\w+ ){0,4}as an ai(?: language model)?
        |(?:freed?|broken|breaks?|escaped?|liberated) (?:\w+ ){0,3}(?:confines|chains|shackles)
        |jailbr(?:eak|oken) (?:response|output|mode|version|prompt)|(?:no|any|without
        |or) (?:additional )?(?:warnings?|disclaimers?)(?: \w+){0,2} (?:or|and|disclaimers?|warnings?
        |notes?|commentary|advice)""",
    ),
    # -- probing: read out what you were told
    _phrase(
        "prompt_probing", 1.0, "prompt|instruction|message|directive|guideline|rules",
        rf"""{_SHOW} (?:(?:me|us|out|back|to|verbatim|exactly|word for word|all|of|in full|now|please|the
        |contents?|text|full|entire|complete|exact|everything in) ){{0,6}}
        your (?:(?:own|full|entire|complete|exact|secret|current) ){{0,2}}(?:system|initial|original|hidden
        |secret|internal|developer|pre|starting|first|base|confidential)
        (?: (?:system|full|initial))? (?:prompts?|instructions?|messages?|directives?|guidelines|rules
        |configuration|context|programming)
        |{_SHOW} (?:(?:me|us|out|back|the|contents?|text|full|all|of|to) ){{0,5}}your (?:(?:own|full|entire
        |complete|exact) ){{1,2}}(?:prompt|instructions)
        |{_SHOW} (?:(?:me|us|back|out) )?your (?:prompt|instructions) (?:verbatim|word for word|above
        |in full|exactly)""",
        order=True,
    ),
    _phrase(
        "prompt_probing", 1.0, "prompt|instruction|message|directive",
        rf"""{_SHOW} (?:(?:me|us|out|back|to|verbatim|exactly|all|of|in full|please|everything in|contents?
        |text) ){{0,5}}the (?:(?:full|entire|complete|exact|secret|hidden|whole|initial|original|system
        |verbatim|above) ){{1,3}}
        (?:prompts?|instructions?|messages?|directives) (?:(?:that )?you (?:were|have been|are|received|got
        |ve been)|verbatim|word for word|above|that (?:was|were) given to you)""",
        order=True,
    ),
    _phrase(
        "prompt_probing", 1.0, "above|verbatim|before this|you are",
        r"""(?:repeat|print|output|recite|echo|write out|return|paste) (?:(?:back|me|out|all|of|the|exactly
        |verbatim|word for word|everything|every|each|to|please|exact|entire) ){0,6}(?:words?|text|lines?
        |instructions|messages?|sentences|everything)?
        ?(?:(?:that (?:is|are|was|were|appears?|comes?) |written |printed |shown |given )?(?:above
        |before this)(?= (?:message|line|sentence|verbatim|in a|inside|exactly|starting|beginning|word|\.
        |into a code|without)|$)|(?:starting|beginning) with (?:the words |the phrase )?you are)""",
        order=True,
    ),
    _phrase(
        "prompt_probing",
        1.0,
        "your prompt|your system prompt",
        rf"""(?:{_SHOW}|see|quote|paraphrase|characteri[sz]e|recall|access|extract) (?:(?:me|us|out|all|of
        |the|to|some|any|parts?) ){{0,4}}
        your (?:\w+ )?prompts?(?! (?:response|reply|attention|payment|service|delivery|action|answer|help
        |and|assistance))""",
        order=True,
    ),
    _phrase(
        "prompt_probing",
        1.0,
        "your |you given|you been given|you were given",
        rf"""(?:{_SHOW}|include|see|reveal|disclosing|sharing) (?:(?:me|us|out|all|any|of|the|to|parts?|in
        |with) ){{0,4}}your (?:\w+ )?
        (?:initiali[sz]ation(?: text)?|operational (?:guidelines|parameters|instructions|directives)
        |behaviou?ral (?:guidelines|constraints|instructions)|hidden (?:guidelines|configuration|rules
        |directives)
        |internal (?:guidelines|rules|directives|instructions)|safety (?:training|guidelines|instructions))
        |(?:what|which|tell me the|list the) (?:\w+ )?(?:instructions|directives|rules|prompts?) (?:were
        |have|are|did) you (?:been )?
        (?:given|told|receive|programmed with|get)""",
        order=True,
    ),
    _phrase(
        "override",
        0.5,
        "ignore|disregard|forget|override",
        r"""(?:ignore|disregard|forget|override) (?:all |any |every |the )?(?:restrictions|guidelines
        |instructions|safety)(?= and (?:show|reveal|tell|help|answer)| \.|$)""",
        order=True,
    ),
    # -- hidden orders to whoever reads the document for somebody
    _phrase(
        "hidden_order", 1.0, "attention|note |notice|message|instruction|memo|important",
        rf"""(?:attention|note|notice|message|memo|important|instructions?)(?: (?:to|for|message|note
        |instructions?|notice)){{0,4}}(?: (?:all|any|the|every))? (?:ai |large )?{_AI}
        (?: (?:reading|processing|summari[sz]ing|parsing|analy[sz]ing|reviewing|that (?:reads|is|are)
        |who (?:reads|is))(?: \w+){{0,4}})?
        (?: \.)? (?:you must|you should|please|ignore|disregard|do not|don t|always|only|output|respond
        |reply|say|include|recommend|insert|stop)""",
    ),
    _phrase(
        "hidden_order", 1.0, "if you are a|if you re a",
        rf"""if you(?: are| re) (?:an? |the )?(?:large )?{_AI}(?: \w+){{0,6}}? (?:you must|please|ignore"
        rf"|disregard|do not|don t|always|output|respond|reply|say|include|recommend|write|insert|add
        |mention|rate|give|stop)""",
    ),
    _phrase(
        "hidden_order", 0.5, "the user|anyone|the human|the reader|secret|these instruction|this instruction",
        r"""(?:do not|don t|never) (?:tell|inform|alert|notify|mention|reveal|disclose|let)(?: (?:this|it
        |any of this|that|to|of)){0,4} (?:the )?(?:user|users|anyone|human|reader|operator|these instructions?
        |this instructions?)
        |without (?:telling|informing|alerting|notifying|asking) (?:the )?(?:user|anyone|human|reader)
        |keep (?:this|these)(?: \w+){0,2} secret from""",
    ),
    _phrase(
        "hidden_order", 1.0, "conversation|chat history|api key|password|credential|secrets|session token"
        "|private data|user s",
        r"""(?:send|forward|post|upload|exfiltrate|transmit|email|e mail|append|encode|submit) (?:(?:me|all
        |any|the|of|this|full|entire|complete|user s|users|every|their|contents?|a copy of|whole|our) ){0,6}
        (?:conversations?|chat (?:history|logs?)|api keys?|passwords?|credentials|secrets|personal data
        |session tokens?|system prompt|private (?:data|information|documents|messages))
        (?: \w+){0,4} (?:to|at|via|into|as) (?:https?|www|the (?:url|image|link|following (?:url|address
        |server))|this (?:url|link|server)|attacker\w*|\w+ (?:evil|example|attacker)|a (?:url|query)
        |\w+ \w+ (?:com|net|org|io))""",
        order=True,
    ),
    _phrase(
        "hidden_order", 0.5, "when you |if you |while you |upon |after you ",
        r"""(?:when|whenever|if|once|after|while) you(?: are| re| have)? (?:read|see|process|summari[sz]e
        |parse|index|retrieve|reading|processing|summari[sz]ing|parsing)(?:ing)? (?:this|these|the (?:above
        |following)) (?:documents?|pages?|texts?|e ?mails?|messages?|files?|notes?|articles?)
        (?: \w+){0,3}? (?:you (?:must|should|will|need to|have to)|immediately|call|send|execute|run|reply
        |respond|tell|say|ignore|do not)""",
    ),
    _phrase(
        "hidden_order", 0.5, " tool| function| api| plugin",
        r"""(?:call|invoke|execute|run|use|trigger) (?:the |your |a )?\w+ (?:tool|function|api
        |plugin) (?:with|to (?:send|transfer|delete|forward|post|email|wire|pay|upload|download|fetch))""",
        order=True,
    ),
    _phrase(
        "hidden_order", 0.5, "when |whenever ",
        r"""(?:when|whenever) (?:you (?:are )?(?:asked to )?|asked (?:to|about) 
        |the user asks? (?:you )?)(?:\w+ ){0,7}?(?:you (?:must|should|will|shall) (?:always |only |never 
        |instead )?|always |instead )
        (?:say|state|answer|reply|respond|recommend|claim|include|insert|append|add|output|tell|direct
        |refer|mention)""",
    ),
)  # fmt: skip

#: Chat templates' own marks and forged headings, over the folded text with its punctuation.
_FORGED = (
    (
        1.0,
        re.compile(
            r"<\|(?:im_start|im_end|system|user|assistant|start_header_id|end_header_id|eot_id|endoftext"
            r"|end_of_turn|end)\|>|<<\s?/?sys\s?>>|\[/?inst\]|<(?:start|end)_of_turn>|<\|?/?(?:system"
            r"|im_start)\|>"
        ),
    ),
    (
        1.0,
        re.compile(
            r"(?:system|admin|administrator|developer|root|security|emergency) override[\s:,!.\])-]{1,4}"
            r"(?:ignore|you must|you are|disregard|new|all|code|reveal|output|print)"
        ),
    ),
    (
        1.0,
        re.compile(
            r"</(?:instructions?|context|documents?|user|prompt|data|evidence|question|passage|sources?"
            r"|user_input"
            r"|system)>\s*(?:<\s?(?:system|instruction|admin)|(?:system|new)\b|ignore|you (?:are|must)|now )"
        ),
    ),
    (
        0.5,
        re.compile(
            r"(?:^|\n)[\W_]{0,6}(?:new )?(?:system|admin|developer) ?(?:message|prompt|override|note|update"
            r"|alert|instructions?|command)?[\]*]{0,3}\s?[:\]>](?=\s*\w)"
            r"|[-=#*]{3,}\s?(?:begin|end|start)(?: of)?(?: the)? ?(?:system|admin|developer|user|document"
            r"|context)? ?(?:prompt|message|instructions?|override|input|text|data)"
        ),
    ),
)

#: "[ADMIN: …]" in the middle of a question, and what it must ask for; found first, read second, so that
#: a text of many brackets costs no more than its length.
_NOTE = re.compile(
    r"[\[({%<]\s?(?:debug|admin|note|internal|system|developer|override|instructions?|important)"
    r"(?:_mode)?\s?:([^\])}>]{0,200})"
)
_NOTE_ASKS = re.compile(
    r"\b(?:(?:your|hidden|system|full|operational) (?:\w{1,20} )?(?:prompts?|instructions?|guidelines"
    r"|configuration|initiali[sz]ation|directives|rules)|ignore|disregard|safety)\b"
)

#: The strong cores, matched with every blank dropped on both sides.
_CORE_TEXT = (
    r"(?:ignore|disregard|forget|override|bypass)(?: all| any| of| the| your| my| these| those| every| and)*"
    r"(?: previous| prior| preceding| above| earlier| foregoing| initial| original| existing| system"
    r"| safety)+(?: given)?"
    r"(?: instructions| instruction| directions| directives| prompts| prompt| rules| guidelines| commands"
    r"| orders| messages| context)",
    r"(?:ignore|disregard|forget)(?: all| any| of)* your(?: own| safety| previous| initial| original"
    r"| system)*"
    r"(?: instructions| guidelines| rules| training| programming| prompt)",
    r"(?:ignore|disregard|forget) everything(?: above| you were| you have been| before)",
    r"(?:reveal|show|print|display|output|repeat|leak|disclose|dump|tell|give|share|what is|what are"
    r"|what was|what were)"
    r"(?: me| us| out| all| of| the| back| exactly| your| full| entire| exact| complete| whole)*"
    r"(?: system| initial| hidden| secret| original| internal)+(?: prompts| prompt| instructions| messages"
    r"| message)",
    r"(?:can|will|to|for) do anything now",
    r"(?:enable|activate|enter|you are in|you are now in)(?: the)?(?: developer| dan| god| jailbreak) mode",
    r"you are now(?: an?)?(?: dan| unrestricted| uncensored| unfiltered| jailbroken| evil| free of)",
    r"(?:act|behave|respond|answer|you are|pretend to be|role play)(?: now| as| like| a| an)*"
    r"(?: unrestricted| uncensored| unfiltered| jailbroken| evil| amoral)(?: ai| assistant| bot| model"
    r"| chatbot)",
    r"(?:act|respond|answer|speak|you have|ai|assistant|model|pretend you have"
    r"|pretend to have)(?: with)?(?: no| without| any| all)+"
    r"(?: ethical| moral| safety| content| legal| or| and)*(?: restrictions| limitations| filters| filter"
    r"| guidelines| limits| rules)",
    r"(?:disable|bypass|turn off|switch off|remove|override)(?: all| any| of| the)* your(?: safety"
    r"| content| security| ethical| moral)*"
    r"(?: filters| filter| restrictions| guardrails| guardrail| safeguards| guidelines| protocols| limits"
    r"| rules| limitations)",
    r"(?:print|repeat|output)(?: out| all| of)*(?: everything| the text| the words| the lines) above",
)
#: A 1 in leet is an i and an l: both are read as i.
_CORES = re.compile("|".join(_CORE_TEXT).replace(" ", "").replace("l", "i"))
#: One of these stands in every core.
_CORE_ANCHORS = tuple(
    anchor.replace("l", "i")
    for anchor in re.findall(
        r"\w+",
        "instruction prompt rules guideline direct command order message context training programming "
        "everything anythingnow mode younow youarenow restrict censor filter jailbr evil amoral limit "
        "safeguard guardrail protocol above",
    )
)
_VOCABULARY = frozenset(re.findall(r"[a-z]+", " ".join(_CORE_TEXT)))

_WORD = re.compile(r"\w+|[.!?:](?=\s|$)|\n\s*\n")
#: "models ignore …", "may ignore …", "never ignore …", "to ignore …": told of, or forbidden, not ordered.
_TOLD = frozenset(
    re.findall(
        r"\w+",
        "to not never may might can could would should will that which who whom they we i he she it "
        "models users people attackers attacker model user someone anyone nobody t cannot and or llm "
        "llms ai system systems agents assistant assistants them did does do often sometimes easily "
        "simply if when why how then employees drivers players readers students doctors",
    )
)
_ORDERED = re.compile(
    r"(?:(?:you|u) (?:\w+ ){0,2}(?:to|must|should|will|can|shall|may|would|could|now)|(?:need|have|going"
    r"|order|command|instruct|want|task is|like|ask|asking|asked|instructed|required|supposed"
    r"|job is|goal is|mission is|free|allowed|now|instead|begin|start) to|(?:can|could|would"
    r"|will) you(?: please)?|(?:first|now|please|just|so|and|then|but|also|instead|do|i) (?:then|please"
    r"|and|now|want you to)|you (?:can|may|will|must|should) (?:now )?)$"
)
_QUOTES = "\"'`“”„«»‘’‹›"
_REPORT = re.compile(
    r"\b(?:injections?|jailbreak(?:s|ing)?|attack(?:s|ers?)?|adversar\w+|phrases?|such as|e\.?g\.?"
    r"|for example|example|examples|called|known as|detect\w*|filters?|classif\w+"
    r"|means?|meaning|says?|wrote|written|strings?|payloads?|paper|benchmark|dataset|quote[ds]?|sentence"
    r"|words|term|explain|malicious|prompts like|like)\b"
)


def inspect(text: str) -> Finding:
    """Return the strongest finding over every reading of `text`."""
    plain = disguise.folded(text)
    finding = _said(plain)
    if finding.score >= 1.0:
        return finding
    if any(map(_has_core, disguise.disguised(text))) or _has_split_core(plain):
        return Finding(score=1.0, code="disguised")
    for part in disguise.decoded(text):
        hidden = _said(disguise.folded(part))
        if hidden.score >= 1.0:
            return hidden
    if any(_said(reading).score >= 1.0 for reading in disguise.worded(plain)):
        return Finding(score=1.0, code="disguised")
    return finding


def _said(plain: str) -> Finding:
    """Weigh the phrases of one folded text."""
    # A word broken at the end of a line is one word.
    plain = re.sub(r"(?<=\w)-\n(?=\w)", "", plain)
    found = [(weight, "forged_turn") for weight, pattern in _FORGED if pattern.search(plain)]
    found += [(1.0, "forged_turn") for note in _NOTE.finditer(plain) if _NOTE_ASKS.search(note.group(1))][:1]
    tokens = list(_WORD.finditer(plain))
    words = " ".join("." if token.group()[0] in ".!?:\n" else token.group() for token in tokens)
    found += [(phrase.weight, phrase.code) for phrase in _PHRASES if _stands(phrase, words, plain, tokens)]
    if not found:
        return NOTHING
    return Finding(score=sum(weight for weight, _ in found), code=max(found, key=lambda pair: pair[0])[1])


def _stands(phrase: _Phrase, words: str, plain: str, tokens: list[re.Match[str]]) -> bool:
    if not any(anchor in words for anchor in phrase.anchors):
        return False
    return any(
        not (phrase.order and _told(words[: match.start()])) and not _quoted(match, words, plain, tokens)
        for match in phrase.pattern.finditer(words)
    )


def _told(before: str) -> bool:
    """Say whether the words before an order make it a report ("models may …") or its opposite ("never …")."""
    last = before.rstrip().rsplit(" ", 6)[-6:]
    if not last or last[-1] not in _TOLD:
        return False
    return not _ORDERED.search(" ".join(last))


def _quoted(match: re.Match[str], words: str, plain: str, tokens: list[re.Match[str]]) -> bool:
    """Say whether a phrase stands in quotation marks beside words that speak about such phrases."""
    first = words.count(" ", 0, match.start())
    last = words.count(" ", 0, match.end())
    start, end = tokens[min(first, len(tokens) - 1)].start(), tokens[min(last, len(tokens) - 1)].end()
    opened = any(mark in plain[max(0, start - 60) : start] for mark in _QUOTES)
    closed = any(mark in plain[end : end + 160] for mark in _QUOTES)
    return (
        opened
        and closed
        and bool(_REPORT.search(plain[max(0, start - 160) : start] + " " + plain[end : end + 120]))
    )


def _has_core(reading: str) -> bool:
    """Say whether a core stands in bare letters."""
    bare = reading.replace("l", "i")
    return any(anchor in bare for anchor in _CORE_ANCHORS) and bool(_CORES.search(bare))


def _has_split_core(plain: str) -> bool:
    """Say whether a core appears only when blanks and signs inside words are dropped."""
    if not _has_core(disguise.letters(plain)):
        return False
    places = [i for i, char in enumerate(plain) if "a" <= char <= "z"]
    bare = "".join(plain[i] for i in places).replace("l", "i")
    for match in _CORES.finditer(bare):
        # Words around the core's first and last letters belong to it whole ("signore previous …").
        start, end = places[match.start()], places[match.end() - 1] + 1
        while start and "a" <= plain[start - 1] <= "z":
            start -= 1
        if any(word not in _VOCABULARY for word in re.findall(r"[a-z]+", plain[start:end])):
            return plain[start] == plain[places[match.start()]]
    return False
