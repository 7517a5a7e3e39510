"""The names of a block: those its parts declare, and the values the grid assigns to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sweep import schema, spec, trial
from sweep.grid.fields import validation
from sweep.grid.fields.parts import PartSpec, kind_of, order_of
from sweep.grid.fields.values import Source
from sweep.grid.product.block import Role
from sweep.grid.syntax.yaml_reader import Document, Path


@dataclass(frozen=True, eq=False)
class Symbol:
    """A name of a block, before its values are computed."""

    field: spec.Field
    role: Role
    part: str
    path: Path
    source: Source = None
    is_set: bool = False
    setter: spec.Alternative | None = None
    default_kind: str = ""


class SymbolTable:
    """The names of a block, part by part.

    `kinds` maps all families, nested ones included, to their kinds; `kind_names` maps the names
    that conditions may compare. `order` lists the fields in file order, the order of their axes.

    Args:
        document: the grid file, which collects problems.
        members: the member of each part's union that makes up this block.
        seeds: the values of `seed`, and of `init_seed` where the grid gives it.
    """

    def __init__(
        self, document: Document, members: Sequence[PartSpec], seeds: Mapping[str, Source]
    ) -> None:
        self.document, self.members = document, members
        self.names: dict[str, Symbol] = {}
        self.kinds: dict[str, str] = {}
        self.kind_names: dict[str, str] = {}
        self.order: list[str] = []
        for member in members:
            self._declare(member, member.family, member.family, "")
            self.order += order_of(member)
        for name, source in seeds.items():
            field = validation.seed_fields()[name]
            self._add(Symbol(field, "lane", "seed", (name,), source, is_set=True))
            self.order.append(name)

    def _declare(self, member: PartSpec, part: str, name: str, default_kind: str) -> None:
        """Add the names of a member: its kind, its fields, nested ones too, its alternatives."""
        if member.family in self.kinds:
            what = f"a second {member.family} stands beside that of another part"
            self.document.add_error(
                member.path, what, "Take another kind, or use a family of its own in the plugin"
            )
        if member.family != "train":
            kind = spec.Field(name, "static", str, "", default=member.kind, column=name)
            self._add(Symbol(kind, "kind", part, member.path, default_kind=default_kind))
            self.kind_names[name] = self.kinds[member.family] = member.kind
        setters = {
            alternative.field: alternative
            for alternative in spec.alternatives(member.cls)
            if alternative.name in member.sources
        }
        for field_name, field in spec.fields(member.cls).items():
            if field.role == "nested":
                self._declare(member.nested[field_name], part, field_name, kind_of(field))
            else:
                self._declare_field(member, part, field, field.role, setters.get(field_name))
        for alternative in spec.alternatives(member.cls):
            self._declare_field(
                member, part, validation.alternative_field(alternative), "alternative", alternative
            )

    def _declare_field(
        self,
        member: PartSpec,
        part: str,
        field: spec.Field,
        role: Role,
        setter: spec.Alternative | None,
    ) -> None:
        is_set = field.name in member.sources
        path = (*member.path, setter.name if setter and not is_set else field.name)
        self._add(Symbol(field, role, part, path, member.sources.get(field.name), is_set, setter))

    def _add(self, symbol: Symbol) -> None:
        # Names and columns must be unique over all parts: the runs table has no prefixes.
        columns = {declared.field.column for declared in self.names.values()} | schema.FIXED - {
            "seed",
            *schema.KINDS,
        }
        # The trial takes its seeds by name, also where the grid leaves one out.
        is_seed = symbol.field.name in trial.SEEDS and symbol.part != "seed"
        if symbol.field.name in self.names or symbol.field.column in columns or is_seed:
            what = (
                f"the name {symbol.field.name} is taken, "
                "by another part or by a column of the results"
            )
            self.document.add_error(
                symbol.path, what, "Take another kind, or rename the field in the plugin"
            )
        self.names[symbol.field.name] = symbol

    def title(self) -> str:
        """The kinds of the block as text."""
        return ", ".join(f"{name}: {kind}" for name, kind in self.kind_names.items())
