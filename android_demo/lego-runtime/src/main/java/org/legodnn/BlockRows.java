package org.legodnn;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** A segment and its options: several for a block, one for a fixed segment. */
public final class BlockRows {
    /** Unique in the model. */
    public final String name;
    /** At least one. */
    public final List<OptionRow> options;

    /**
     * @param name unique in the model
     * @param options at least one
     */
    public BlockRows(String name, List<OptionRow> options) {
        this.name = name;
        this.options = Collections.unmodifiableList(new ArrayList<>(options));
    }
}
