package org.legodnn;

import java.util.ArrayList;
import java.util.List;

import org.legodnn.internal.Text;

/**
 * A piece of the model that is loaded as one: a block has several options to choose from, a fixed piece exactly one.
 */
public final class Segment {
    final String name;
    final boolean block;
    final List<String> inputs;
    final List<String> outputs;
    final List<Option> options;
    final List<List<Double>> interaction;

    Segment(String name, boolean block, List<String> inputs, List<String> outputs, List<Option> options,
            List<List<Double>> interaction) {
        this.name = name;
        this.block = block;
        this.inputs = inputs;
        this.outputs = outputs;
        this.options = options;
        this.interaction = interaction;
    }

    /** The first option: unpruned and in float32 where a model was built, the most accurate of whole files. */
    public Option original() {
        return options.get(0);
    }

    /**
     * The option of a name.
     *
     * @throws StoreException there is none
     */
    public Option option(String wanted) {
        List<String> names = new ArrayList<>();
        for (Option option : options) {
            if (option.name.equals(wanted)) {
                return option;
            }
            names.add(option.name);
        }
        throw new StoreException("segment " + name + " has no option '" + wanted + "'; it has " + Text.list(names));
    }

    /** Unique in the store. */
    public String name() {
        return name;
    }

    /** Whether it is a block. */
    public boolean block() {
        return block;
    }

    /** Names of the tensors that it reads, in the order of its files' inputs. */
    public List<String> inputs() {
        return inputs;
    }

    /** Names of the tensors that it writes, in the order of its files' outputs. */
    public List<String> outputs() {
        return outputs;
    }

    /** At least one. */
    public List<Option> options() {
        return options;
    }

    /**
     * What each option adds to the loss beyond its own, by the option of the block before it (rows: options there,
     * columns: options here); empty where there is none, as for the first block.
     */
    public List<List<Double>> interaction() {
        return interaction;
    }
}
