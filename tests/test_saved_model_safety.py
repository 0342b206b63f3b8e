import pytest

from toolchain.errors import ModelError
from toolchain.saved_model_safety import check_saved_model


@pytest.mark.tensorflow
@pytest.mark.parametrize("named", ["listed", "function", "bare", "nowhere"])
def test_a_function_that_only_the_graph_of_objects_names_is_looked_at(tmp_path, named):
    """TensorFlow's loader calls such functions; `nowhere` is what saves and restores variables, in every SavedModel."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    model = SavedModel()
    meta = model.meta_graphs.add()
    function = meta.graph_def.library.function.add()
    function.signature.name = "reach"
    function.node_def.add(name="read", op="ReadFile")
    node = meta.object_graph_def.nodes.add()
    if named == "listed":
        meta.object_graph_def.concrete_functions["reach"].SetInParent()
    elif named == "function":
        node.function.concrete_functions.append("reach")
    elif named == "bare":
        node.bare_concrete_function.concrete_function_name = "reach"
    (tmp_path / "saved_model.pb").write_bytes(model.SerializeToString())
    if named == "nowhere":
        check_saved_model(tmp_path)
    else:
        with pytest.raises(ModelError, match="uses ReadFile"):
            check_saved_model(tmp_path)
