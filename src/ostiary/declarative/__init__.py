"""Organization files: everything an administrator can do, written down, reviewed and applied.

The command line reads files (`documents`, `references`) and sends values; `Applying` makes
organizations what they say, in one transaction, with the use cases of the slices. Owns no rules.
"""

from ostiary.declarative.apply import Applying, Moved, OrganizationPlan
from ostiary.declarative.complaints import Complaint, Refused, Unacceptable
from ostiary.declarative.documents import Document, read_documents
from ostiary.declarative.export import SECTIONS, Export
from ostiary.declarative.layout import laid_out
from ostiary.declarative.plan import Action, Change, Detail, Kind
from ostiary.declarative.reading import check_file, placed, plain_secrets, read_file
from ostiary.declarative.references import Resolver
from ostiary.declarative.schema import OrganizationFile
from ostiary.declarative.secret_names import refer_to_secrets
from ostiary.declarative.wire import (
    complaints_from_wire,
    complaints_to_wire,
    export_from_wire,
    export_to_wire,
    plans_from_wire,
    plans_to_wire,
    to_wire,
)
from ostiary.declarative.writing import Tools

__all__ = [
    "SECTIONS",
    "Action",
    "Applying",
    "Change",
    "Complaint",
    "Detail",
    "Document",
    "Export",
    "Kind",
    "Moved",
    "OrganizationFile",
    "OrganizationPlan",
    "Refused",
    "Resolver",
    "Tools",
    "Unacceptable",
    "check_file",
    "complaints_from_wire",
    "complaints_to_wire",
    "export_from_wire",
    "export_to_wire",
    "laid_out",
    "placed",
    "plain_secrets",
    "plans_from_wire",
    "plans_to_wire",
    "read_documents",
    "read_file",
    "refer_to_secrets",
    "to_wire",
]
