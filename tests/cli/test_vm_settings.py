"""The settings of a VM on the command line."""

from velocity.cli.vm_settings import WORDS
from velocity.contract.machines import VmSettings


def test_every_setting_has_a_word() -> None:
    assert {word.field for word in WORDS} == set(VmSettings.__struct_fields__)
