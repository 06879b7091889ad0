"""Jobs: parts of a build that do not depend on one another, done by processes here or on the machines of a cluster."""
