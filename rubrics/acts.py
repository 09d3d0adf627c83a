"""The acts: what people do in a turn of a call, and how a reason says it."""

from wellheard.pipeline.records import Speaker

AGENT_ACTS = {
    "greet": "a greeting",
    "company": "the company's name",
    "own_name": "the agent's own name",
    "recording": "a notice that the call is recorded",
    "ask_matter": "a question what the customer wants",
    "ask_id": "a question for an identifier",
    "use_name": "the customer addressed by name",
    "diagnose": "a question about the matter",
    "restate": "the customer's matter in own words",
    "take_up": "a remark on something personal",
    "empathise": "words of empathy",
    "formula": "a stock apology",
    "own_up": "an admission of fault",
    "announce_wait": "a request to wait",
    "after_wait": "thanks for waiting",
    "offer": "an offer",
    "push": "pressure to take an offer",
    "let_go": "an offer let go",
    "blame": "blame or a lecture",
    "shut_out": "the customer shut out",
    "way_forward": "a way forward",
    "disclose": "something disclosed or changed on the account",
    "solve": "an answer or solution",
    "refuse": "a refusal",
    "take_on": "a step taken on by the agent",
    "send_away": "a step left to the customer",
    "definite_time": "a definite time",
    "vague_time": "a vague time",
    "cause": "the cause",
    "extra": "something useful beyond the procedure",
    "ask_again": "a question already answered",
    "recap": "a summing-up",
    "check": "a check that it suits or works",
    "anything_else": "a question whether there is anything else",
    "thank": "thanks to the customer",
    "farewell": "a farewell",
    "personal_wish": "a personal wish",
    "transfer": "a transfer",
    "brief_colleague": "the story passed on to a colleague",
}
CUSTOMER_ACTS = {
    "matter": "the customer's matter",
    "fact": "a fact given by the customer",
    "give_id": "an identifier given",
    "personal_data": "personal data given",
    "cue": "a personal cue",
    "feeling": "a feeling or hardship voiced",
    "upset": "an upset customer",
    "calmer": "a calmer customer",
    "decline": "an offer declined",
    "accept": "the customer's acceptance",
    "reject": "the customer's rejection",
    "works": "the customer's word that it works",
    "repeats": "something the customer had to repeat",
    "thanks": "the customer's thanks",
}
ACTS = AGENT_ACTS | CUSTOMER_ACTS
# From this probability on an act is said to be done: where F1 over all acts is best on held-out calls.
DONE_FROM = 0.4
# Acts of the agent that only make sense against what the customer says.
ABOUT_THE_CUSTOMER = ("use_name", "restate", "take_up", "empathise", "ask_again", "push", "personal_wish")
# These may be done by an announcement too.
BY_ANNOUNCEMENTS = ("greet", "company", "recording")


def may_show(speaker: str, act: str) -> bool:
    """Whether a turn of this speaker can show the act."""
    return speaker == speaker_of(act) or (speaker == "other" and act in BY_ANNOUNCEMENTS)


def speaker_of(act: str) -> Speaker:
    """Whose turns can show an act: agent or customer."""
    return "agent" if act in AGENT_ACTS else "customer"
