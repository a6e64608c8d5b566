"""What to tell people about the keys of each provider: where they are named, restored, made."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeyGuidance:
    """`setting`: the setting that names a provider's keys; `restore`, `make`: what has to be done
    where a key is missing, and where a new one is wanted.
    """

    setting: str
    restore: str
    make: str


def _vault(prefix: str, which: str) -> KeyGuidance:
    return KeyGuidance(
        setting=f"{prefix}TRANSIT_KEY",
        restore=f"{prefix}TRANSIT_KEY must list it, and {prefix}ADDR and {prefix}TOKEN (or"
        f" {prefix}AUTH) must give access",
        make=f"make a key in {which} (vault write -f transit/keys/NAME)",
    )


#: By the provider's name, which the ids of its keys begin with.
GUIDANCE = {
    "local": KeyGuidance(
        setting="FUGATA_KEYS",
        restore="FUGATA_KEYS must list it",
        make="make a key (python manage.py generate_key)",
    ),
    "vault": _vault("VAULT_", "Vault"),
    "vault2": _vault("VAULT2_", "the second Vault"),
    "aws": KeyGuidance(
        setting="AWS_KMS_KEY_ID",
        restore="AWS_KMS_KEY_ID must list it, and the AWS credentials must give access",
        make="make a symmetric key in AWS KMS",
    ),
}


def guidance(provider: str) -> KeyGuidance:
    """Return the guidance for the keys of a provider; one that is not built in has the local's."""
    return GUIDANCE.get(provider, GUIDANCE["local"])
