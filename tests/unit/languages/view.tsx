import React from "react";

export function View({ name }: { name: string }) {
  return <p>{name}</p>;
}

export const List = () => {
  return (
    <ul>
      <View name="one" />
    </ul>
  );
};
