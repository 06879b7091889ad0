package org.legodnn;

import java.io.IOException;
import java.util.Arrays;

import org.junit.Before;
import org.junit.Rule;
import org.junit.rules.TemporaryFolder;

/** A chain and a graph in a temporary folder, and runtimes of them. */
public abstract class RuntimeTestBase {
    static final float[] X = {1, 2, 3, 4, 5, 6};
    static final float EXACT = 0;

    @Rule public final TemporaryFolder temporary = new TemporaryFolder();

    final AffineExecutor executor = new AffineExecutor();
    Store chain;
    Store graph;

    @Before
    public void makeStores() throws IOException {
        chain = TestStores.chain(temporary.newFolder("chain"), "chain");
        graph = TestStores.graph(temporary.newFolder("graph"), "graph");
    }

    LegoModel model(Store store) {
        return LegoModel.of(store, TestStores.profile(store, executor));
    }

    LegoRuntime open(LegoModel... models) {
        return open(Budget.none(), models);
    }

    LegoRuntime open(Budget budget, LegoModel... models) {
        return new LegoRuntime(executor, Arrays.asList(models), SwitchCharge.NONE, budget);
    }

    static Budget memory(long bytes) {
        return Budget.none().withMemoryBytes(bytes);
    }
}
