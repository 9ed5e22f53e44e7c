"""What every slice holds about people: a slice that begins to hold something is a row here."""

from typing import Final

from ostiary.apim import PERSONAL_DATA as OF_API_MANAGEMENT
from ostiary.foundation.people import Holding
from ostiary.gateway import PERSONAL_DATA as OF_THE_GATEWAY
from ostiary.identity import PERSONAL_DATA as OF_IDENTITY
from ostiary.oauth import PERSONAL_DATA as OF_OAUTH
from ostiary.permissions import PERSONAL_DATA as OF_PERMISSIONS

HOLDINGS: Final[tuple[Holding, ...]] = (
    OF_API_MANAGEMENT,
    OF_THE_GATEWAY,
    OF_OAUTH,
    OF_PERMISSIONS,
    OF_IDENTITY,
)
