"""Stand-ins for Arize: a whole tenant (REST v2, GraphQL, webhook deliveries), and a small one for polling."""

from tests.vendors.arize.faults import Face
from tests.vendors.arize.polling import Arize
from tests.vendors.arize.tenant import ArizeTenant

__all__ = ["Arize", "ArizeTenant", "Face"]
