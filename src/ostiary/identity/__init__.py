"""Identity: who the user is, and where that is known.

`Authentication` is the one place where a password is checked. Users of PRIMARY and the settings of
outside user stores are put, listed and deleted by functions of a connection.
"""

from ostiary.identity.assertions import Assertions, Expected, forget_redeemed
from ostiary.identity.authentication import Authentication
from ostiary.identity.belonging import claims_of
from ostiary.identity.bootstrap import (
    ADMINISTRATOR,
    NoDefaultOrganization,
    bootstrap_admin,
    reset_admin_password,
)
from ostiary.identity.chain import StoreAnswer
from ostiary.identity.errors import (
    HashingBusy,
    InvalidUser,
    InvalidUserName,
    InvalidUserStore,
    LoginRefused,
    LoginUnavailable,
    UnknownUser,
    UnknownUserStore,
    UserStoreInUse,
)
from ostiary.identity.founding import put_organization
from ostiary.identity.identity_providers.contract import AssertionRefused
from ostiary.identity.looking_up import LookUps, Told
from ostiary.identity.migration import Migration, list_migrations
from ostiary.identity.model import (
    AuthenticatedUser,
    StandingProblem,
    StoreOptions,
    Subject,
    User,
    UserSpec,
    UserStoreSettings,
    UserStoreSpec,
)
from ostiary.identity.passwords import PasswordHasher, hash_password
from ostiary.identity.powers import check_power_over
from ostiary.identity.repository.personal_data import PERSONAL_DATA
from ostiary.identity.repository.subjects import id_of_name
from ostiary.identity.settings import IdentitySettings
from ostiary.identity.standing import check_standing
from ostiary.identity.user_names import PRIMARY, UserName, display_name
from ostiary.identity.user_stores.breaker import BreakerState
from ostiary.identity.user_stores.configuration import (
    check_spec,
    delete_user_store,
    find_user_store,
    list_user_stores,
    options_of,
    put_user_store,
)
from ostiary.identity.user_stores.configuration import read_settings as read_user_store_settings
from ostiary.identity.user_stores.directory import USER_STORES, StoreType, UserStores, takes_passwords
from ostiary.identity.user_stores.guarded import StoreHealth
from ostiary.identity.user_stores.testing import Tested
from ostiary.identity.user_stores.testing import test_store as test_user_store
from ostiary.identity.user_stores.type_settings import FROM_FILE, Section, TypeSettings
from ostiary.identity.users import (
    check_claims,
    delete_user,
    disable_subject,
    disable_user,
    enable_user,
    find_user,
    list_users,
    put_user,
    sign_out,
)

__all__ = [
    "ADMINISTRATOR",
    "FROM_FILE",
    "PERSONAL_DATA",
    "PRIMARY",
    "USER_STORES",
    "AssertionRefused",
    "Assertions",
    "AuthenticatedUser",
    "Authentication",
    "BreakerState",
    "Expected",
    "HashingBusy",
    "IdentitySettings",
    "InvalidUser",
    "InvalidUserName",
    "InvalidUserStore",
    "LoginRefused",
    "LoginUnavailable",
    "LookUps",
    "Migration",
    "NoDefaultOrganization",
    "PasswordHasher",
    "Section",
    "StandingProblem",
    "StoreAnswer",
    "StoreHealth",
    "StoreOptions",
    "StoreType",
    "Subject",
    "Tested",
    "Told",
    "TypeSettings",
    "UnknownUser",
    "UnknownUserStore",
    "User",
    "UserName",
    "UserSpec",
    "UserStoreInUse",
    "UserStoreSettings",
    "UserStoreSpec",
    "UserStores",
    "bootstrap_admin",
    "check_claims",
    "check_power_over",
    "check_spec",
    "check_standing",
    "claims_of",
    "delete_user",
    "delete_user_store",
    "disable_subject",
    "disable_user",
    "display_name",
    "enable_user",
    "find_user",
    "find_user_store",
    "forget_redeemed",
    "hash_password",
    "id_of_name",
    "list_migrations",
    "list_user_stores",
    "list_users",
    "options_of",
    "put_organization",
    "put_user",
    "put_user_store",
    "read_user_store_settings",
    "reset_admin_password",
    "sign_out",
    "takes_passwords",
    "test_user_store",
]
